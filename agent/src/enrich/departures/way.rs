//! What makes two sightings those of one packet: both addresses, and the ports or the kind of ICMP message.

use std::net::IpAddr;

use palomar_model::packet::Transport;

use crate::decode::KernelEvent;

/// A packet's way: source, destination, transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Way {
    source: u128,
    destination: u128,
    /// From the highest bit: version, protocol, then source port and destination port, or type and code.
    transport: u64,
}

// === impl Way ===

impl Way {
    pub(super) fn of(event: &KernelEvent) -> Self {
        let (protocol, one, other) = match event.transport {
            Transport::Tcp { source, destination, flags: _ } => (6, source, destination),
            Transport::Udp { source, destination } => (17, source, destination),
            Transport::Sctp { source, destination } => (132, source, destination),
            Transport::Icmp { kind, code } => (1, kind.into(), code.into()),
            Transport::Icmpv6 { kind, code } => (58, kind.into(), code.into()),
            Transport::Other(protocol) => (protocol, 0, 0),
        };
        let version = u64::from(event.source_address.is_ipv6());
        Self {
            source: bits(event.source_address),
            destination: bits(event.destination_address),
            transport: version << 40 | u64::from(protocol) << 32 | u64::from(one) << 16 | u64::from(other),
        }
    }

    /// That of an answer.
    pub(super) fn back(&self) -> Self {
        let Self { source, destination, transport } = *self;
        let (ports, above) = (transport & 0xffff_ffff, transport & !0xffff_ffff);
        Self {
            source: destination,
            destination: source,
            transport: above | ports >> 16 | (ports & 0xffff) << 16,
        }
    }

    /// Whatever the source port.
    pub(super) fn of_any_port(&self) -> Self {
        Self { transport: self.transport & !0xffff_0000, ..*self }
    }

    /// Whoever the source.
    pub(super) fn of_anybody(&self) -> Self {
        Self { source: 0, ..self.of_any_port() }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
