//! Ping.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Packet, TrafficError};
use crate::Place;

const ECHO_REPLY_V4: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

// === impl Place ===

impl Place {
    /// Sends one ICMP or `ICMPv6` echo request and returns how long the answer took.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] when none came within `timeout`.
    pub fn ping(&self, destination: IpAddr, timeout: Duration) -> Result<Duration, TrafficError> {
        let (domain, protocol, header) = match destination {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, IPV4_HEADER),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, IPV6_HEADER),
        };
        let mut socket = self.netns().enter(|| Socket::new(domain, Type::RAW, Some(protocol)))??;
        socket.connect(&SocketAddr::new(destination, 0).into())?;
        let source = socket.local_addr()?.as_socket().map_or(destination, |address| address.ip());
        let [low, high, ..] = std::process::id().to_le_bytes();
        let id = u16::from_le_bytes([low, high]);
        // the kernel brings the IP header
        let request = Packet::echo_request(source, destination, id, 1, b"palomar").to_bytes();
        let start = Instant::now();
        socket.send(&request[header..])?;
        let mut buffer = [0; 2048];
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(TrafficError::Timeout);
            }
            socket.set_read_timeout(Some(left))?;
            let length = socket.read(&mut buffer)?;
            // a raw socket of IPv4 shows the header as well
            let message =
                if destination.is_ipv4() { strip_v4_header(&buffer[..length]) } else { &buffer[..length] };
            if is_reply(message, &request[header..]) {
                return Ok(start.elapsed());
            }
        }
    }
}

fn strip_v4_header(packet: &[u8]) -> &[u8] {
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    packet.get(length..).unwrap_or_default()
}

/// Whether a message answers a request: an echo reply with the same id, sequence and payload.
fn is_reply(message: &[u8], request: &[u8]) -> bool {
    matches!(message.first(), Some(&(ECHO_REPLY_V4 | ECHO_REPLY_V6))) && message.get(4..) == request.get(4..)
}
