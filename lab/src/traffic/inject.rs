//! Packets past the socket layer: sent as they are, and seen as they come.
//!
//! They still leave by the place's routes, so that what a test injects takes the way of the pod's own traffic. The
//! kernel fills in the total length and checksum of an IPv4 header, and an identification of zero.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Packet, TrafficError};
use crate::Place;

/// `IPPROTO_RAW`: the sender brings the IP header.
const RAW: i32 = 255;
/// `ETH_P_ALL` in network byte order, as the socket call wants it.
const EVERY_PROTOCOL: i32 = 0x0300;

/// Sees every IP packet that enters or leaves a place, from its IP header on, beginning with when it was made.
#[derive(Debug)]
pub struct PacketListener {
    socket: Socket,
}

// === impl Place ===

impl Place {
    /// Sends packets as they are.
    ///
    /// # Errors
    /// When there is no route to a destination, or a packet exceeds the interface's MTU.
    pub fn inject<'a>(&self, packets: impl IntoIterator<Item = &'a Packet>) -> Result<(), TrafficError> {
        let open = || Ok::<_, std::io::Error>((open_raw(Domain::IPV4)?, open_raw(Domain::IPV6)?));
        let (v4, v6) = self.netns().enter(open)??;
        for packet in packets {
            let destination = packet.destination();
            let socket = if destination.is_ipv4() { &v4 } else { &v6 };
            socket.send_to(&packet.to_bytes(), &SocketAddr::new(destination, 0).into())?;
        }
        Ok(())
    }

    /// Begins to see the place's packets.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn listen_to_packets(&self) -> Result<PacketListener, TrafficError> {
        let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(EVERY_PROTOCOL)));
        Ok(PacketListener { socket: self.netns().enter(open)?? })
    }
}

// === impl PacketListener ===

impl PacketListener {
    /// The first packet from now on that `wanted` says yes to. It sees those that came since the listener was made, up
    /// to what the socket's buffer holds, each once.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] when none came within `timeout`.
    pub fn wait_for(
        &mut self,
        timeout: Duration,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<u8>, TrafficError> {
        let deadline = Instant::now() + timeout;
        let mut buffer = vec![0; 65536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(TrafficError::Timeout);
            }
            self.socket.set_read_timeout(Some(left))?;
            let length = self.socket.read(&mut buffer)?;
            if wanted(&buffer[..length]) {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    }

    /// As [`Self::wait_for`], for the packet with this source and destination, of whichever kind.
    ///
    /// # Errors
    /// See there.
    pub fn wait_for_packet_like(
        &mut self,
        packet: &Packet,
        timeout: Duration,
    ) -> Result<Vec<u8>, TrafficError> {
        let like = packet.to_bytes();
        self.wait_for(timeout, |seen| addresses(seen).is_some() && addresses(seen) == addresses(&like))
    }
}

/// The bytes of source and destination address.
fn addresses(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? >> 4 {
        4 => packet.get(12..20),
        6 => packet.get(8..40),
        _ => None,
    }
}

fn open_raw(domain: Domain) -> std::io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)))?;
    if domain == Domain::IPV4 {
        socket.set_header_included_v4(true)?;
    }
    Ok(socket)
}
