//! One TCP connection, as fast as it goes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::TrafficError;
use super::server::{TcpServer, Threads};
use crate::Place;

const CHUNK: usize = 128 * 1024;
const CONNECT: Duration = Duration::from_secs(2);

/// What a stream has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamReport {
    /// Bytes that the receiver has read.
    pub bytes: u64,
    /// From the first write until the receiver had read the last.
    pub elapsed: Duration,
}

// === impl Place ===

impl Place {
    /// Sends to `address` of `to` for `duration`. `port` must be free there; it is served for this run only.
    ///
    /// # Errors
    /// When no connection comes about within two seconds, or it is cut.
    pub fn stream_to(
        &self,
        to: &Self,
        address: SocketAddr,
        duration: Duration,
    ) -> Result<StreamReport, TrafficError> {
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        let server = TcpServer::start(to, address.port(), Threads::PerConnection, move |mut stream| {
            let mut buffer = vec![0; CHUNK];
            loop {
                match stream.read(&mut buffer)? {
                    // tells the sender that everything was counted
                    0 => return stream.write_all(b"."),
                    read => count.fetch_add(read as u64, Ordering::Release),
                };
            }
        })?;
        let mut connection = self.connect(address, CONNECT)?;
        let chunk = vec![b'x'; CHUNK];
        let start = Instant::now();
        while start.elapsed() < duration {
            connection.send(&chunk)?;
        }
        connection.end()?;
        if connection.receive(&mut [0], duration + CONNECT)? == 0 {
            return Err(TrafficError::Ended);
        }
        let elapsed = start.elapsed();
        drop(server);
        Ok(StreamReport { bytes: received.load(Ordering::Acquire), elapsed })
    }
}

// === impl StreamReport ===

impl StreamReport {
    /// Bytes a second.
    #[expect(clippy::cast_precision_loss, reason = "a run carries far fewer than 2^52 bytes")]
    pub fn per_second(&self) -> f64 {
        self.bytes as f64 / self.elapsed.as_secs_f64()
    }
}
