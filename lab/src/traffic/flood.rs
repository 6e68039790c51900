//! Small UDP datagrams, as many as go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::TrafficError;
use super::datagram::bind_udp;
use crate::Place;

/// How long the receiver waits for what is still on its way.
const DRAIN: Duration = Duration::from_millis(100);
/// The clock is looked at once in so many datagrams.
const BATCH: u64 = 64;

/// What a flood has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodReport {
    /// Datagrams that the sender's kernel took.
    pub sent: u64,
    /// Datagrams that the receiver has read.
    pub received: u64,
    /// From the first to the last send.
    pub elapsed: Duration,
}

// === impl Place ===

impl Place {
    /// Sends datagrams of `payload` bytes to `address` of `to` for `duration`. The port must be free there; it is
    /// listened to for this run only.
    ///
    /// # Errors
    /// When the port is taken, or the payload longer than a datagram can be.
    pub fn flood(
        &self,
        to: &Self,
        address: SocketAddr,
        payload: usize,
        duration: Duration,
    ) -> Result<FloodReport, TrafficError> {
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let listening = to.netns().enter(|| bind_udp(address.port()))??;
        // takes effect up to the system's limit
        let _ = socket2::SockRef::from(&listening).set_recv_buffer_size(8 << 20);
        listening.set_read_timeout(Some(DRAIN))?;
        let sending = self.netns().enter(|| UdpSocket::bind((any, 0)))??;
        sending.connect(address)?;
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let receiving = scope.spawn(|| receive_until(&listening, &done));
            let sent = send_for(&sending, payload, duration);
            done.store(true, Ordering::Release);
            let received = receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (sent, elapsed) = sent?;
            Ok(FloodReport { sent, received, elapsed })
        })
    }
}

// === impl FloodReport ===

impl FloodReport {
    /// Received datagrams a second.
    #[expect(clippy::cast_precision_loss, reason = "a run carries far fewer than 2^52 datagrams")]
    pub fn per_second(&self) -> f64 {
        self.received as f64 / self.elapsed.as_secs_f64()
    }
}

fn send_for(socket: &UdpSocket, payload: usize, duration: Duration) -> Result<(u64, Duration), TrafficError> {
    let payload = vec![b'x'; payload];
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < duration {
        for _ in 0..BATCH {
            match socket.send(&payload) {
                Ok(_) => sent += 1,
                // a full queue on the way out is loss, not failure
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok((sent, start.elapsed()))
}

/// Counts until the sender is done and nothing has come for a moment.
fn receive_until(socket: &UdpSocket, done: &AtomicBool) -> u64 {
    let mut buffer = vec![0; 65536];
    let mut received = 0;
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => received += 1,
            Err(_) if done.load(Ordering::Acquire) => return received,
            Err(_) => {}
        }
    }
}
