//! The parts of a flow that repeat from flow to flow.

use std::net::IpAddr;

use palomar_model::packet::Transport;

use super::Side;

/// What a filter looks at. A view may say which value it has by a number, so that a filter decides once for each
/// distinct value: see [`FlowView::key`](super::FlowView::key).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An end: all that [`EndpointView`](super::EndpointView) tells.
    End(Side),
    /// The service of an address; that there is none is a value as well.
    Service(Side),
    /// An address in the packet.
    Address(Side),
    /// A port, and that the transport has none: [`port_key`] gives the number.
    Port(Side),
    /// Name and labels of the node.
    Node,
    /// The interface.
    Interface,
    /// What the event says: its type, the verdict, the drop reason, reply and direction;
    /// [`Sighting::number`](crate::sighting::Sighting::number) gives the number.
    Event,
    /// What the headers say beyond addresses and ports (IP version, encryption, transport, TCP flags);
    /// [`header_key`] gives the number.
    Header,
    /// Everything else, which no number stands for.
    Other,
}

impl Part {
    /// How many parts there are.
    pub(crate) const COUNT: usize = 13;

    /// A dense number.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::End(side) => side as usize,
            Self::Service(side) => 2 + side as usize,
            Self::Address(side) => 4 + side as usize,
            Self::Port(side) => 6 + side as usize,
            Self::Node => 8,
            Self::Interface => 9,
            Self::Event => 10,
            Self::Header => 11,
            Self::Other => 12,
        }
    }
}

/// A number that stands for an address. `None` for those IPv6 addresses whose numbers stand for IPv4 ones, and for
/// the greatest.
pub(crate) fn address_key(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V4(address) => Some(address.to_ipv6_mapped().to_bits()),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
        IpAddr::V6(address) => Some(address.to_bits()).filter(|bits| *bits != u128::MAX),
    }
}

/// A number that stands for the port of a side, and for none.
pub fn port_key(transport: Transport, side: Side) -> u64 {
    match transport.ports() {
        Some((source, destination)) => side.of(source, destination).into(),
        None => u64::from(u16::MAX) + 1,
    }
}

/// A number that stands for [`Part::Header`] of a packet that is not encrypted.
pub fn header_key(transport: Transport, is_ipv4: bool) -> u64 {
    let (kind, flags) = match transport {
        Transport::Tcp { flags, .. } => (1, flags.0),
        Transport::Udp { .. } => (2, 0),
        Transport::Sctp { .. } => (3, 0),
        Transport::Icmp { .. } => (4, 0),
        Transport::Icmpv6 { .. } => (5, 0),
        Transport::Other(_) => (6, 0),
    };
    u64::from(kind << 1 | u8::from(is_ipv4)) << 8 | u64::from(flags)
}
