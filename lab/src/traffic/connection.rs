//! A TCP connection that is held open.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::TrafficError;
use super::server::{TcpServer, Threads};
use crate::Place;

/// Shorter timeouts are taken as this: the kernel reads zero as "for ever".
const SHORTEST: Duration = Duration::from_millis(1);

/// An open TCP connection; closed when dropped.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    sent: u32,
}

// === impl Place ===

impl Place {
    /// Sends back what it receives on `port`, on every connection until its peer ends it.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn serve_echo(&self, port: u16) -> Result<TcpServer, TrafficError> {
        TcpServer::start(self, port, Threads::PerConnection, |mut stream| {
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    read => stream.write_all(&buffer[..read])?,
                }
            }
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] when nobody has answered within `timeout`.
    pub fn connect(&self, server: SocketAddr, timeout: Duration) -> Result<Connection, TrafficError> {
        let stream = self.netns().enter(|| TcpStream::connect_timeout(&server, timeout.max(SHORTEST)))??;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout.max(SHORTEST)))?;
        Ok(Connection { stream, sent: 0 })
    }
}

// === impl Connection ===

impl Connection {
    /// Our end, with the port that was chosen.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn local_address(&self) -> Result<SocketAddr, TrafficError> {
        Ok(self.stream.local_addr()?)
    }

    /// Sends a number to an echo server and waits for it: whether the connection still lives.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] when it has not come back within `timeout`. The connection is not usable afterwards,
    /// except to see whether late answers come.
    pub fn ping(&mut self, timeout: Duration) -> Result<(), TrafficError> {
        let deadline = Instant::now() + timeout;
        self.sent += 1;
        let number = self.sent.to_be_bytes();
        self.send(&number)?;
        let mut echo = Vec::new();
        while echo.len() < number.len() {
            let mut buffer = [0; 4];
            let space = &mut buffer[..number.len() - echo.len()];
            let read = self.receive(space, deadline.saturating_duration_since(Instant::now()))?;
            if read == 0 {
                return Err(TrafficError::Ended);
            }
            echo.extend_from_slice(&buffer[..read]);
        }
        if echo == number {
            Ok(())
        } else {
            Err(TrafficError::Unexpected(format!("{echo:?} for {number:?}")))
        }
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// When the connection is cut, or the buffers stay full for as long as connecting was given.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), TrafficError> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Receives some bytes; none at the end of the stream.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] when none came within `timeout`.
    pub fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, TrafficError> {
        self.stream.set_read_timeout(Some(timeout.max(SHORTEST)))?;
        Ok(self.stream.read(buffer)?)
    }

    /// Ends our direction (FIN), and leaves the other open.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn end(&self) -> Result<(), TrafficError> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }
}
