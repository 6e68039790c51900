//! Single UDP datagrams.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::TrafficError;
use crate::Place;

/// How soon a server notices that it is to stop.
const TICK: Duration = Duration::from_millis(20);

/// A UDP server that sends each datagram back, until it is dropped.
#[derive(Debug)]
#[must_use = "a server serves until it is dropped"]
pub struct UdpEcho {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

// === impl Place ===

impl Place {
    /// Sends each datagram to `port` back to where it came from.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn serve_udp_echo(&self, port: u16) -> Result<UdpEcho, TrafficError> {
        let socket = self.netns().enter(|| bind_udp(port))??;
        socket.set_read_timeout(Some(TICK))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while !stopped.load(Ordering::Acquire) {
                if let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    // a peer that is gone has no use for the answer
                    let _ = socket.send_to(&buffer[..length], peer);
                }
            }
        });
        Ok(UdpEcho { stop, thread: Some(thread) })
    }

    /// Sends a datagram and returns the first that comes back.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] when none came within `timeout`; [`TrafficError::Refused`] when an ICMP error says
    /// that nobody listens.
    pub fn udp_exchange(
        &self,
        server: SocketAddr,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, TrafficError> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = self.netns().enter(|| UdpSocket::bind((any, 0)))??;
        socket.connect(server)?;
        socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        socket.send(payload)?;
        let mut buffer = vec![0; 65536];
        let length = socket.recv(&mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket of both families on all addresses of the calling thread's namespace.
pub(super) fn bind_udp(port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    Ok(socket.into())
}
