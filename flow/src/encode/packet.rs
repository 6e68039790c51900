//! The transport header, and the summary of a packet.

use std::net::IpAddr;

use palomar_model::flow::Event;
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::ObservationPoint;
use palomar_proto::flow as proto;
use prost::Message;

use super::cache::Cache;
use super::wire::{LENGTH, NUMBER, Short, key};
use crate::mask::PartMask;
use crate::summary;

/// The field `l4` of a flow.
pub const TRANSPORT: u32 = 6;
/// The field `Summary` of a flow.
pub const SUMMARY: u32 = 100_000;

/// Longest encoding of `l4`.
const LONGEST: usize = 48;
/// The first two fields of every header: ports, or type and code.
const FIRST: u8 = key::<1>(1, NUMBER)[0];
const SECOND: u8 = key::<1>(2, NUMBER)[0];
const FLAGS: u8 = key::<1>(3, LENGTH)[0];

/// Appends `l4`; nothing for a protocol whose header is not read.
pub fn transport(transport: Transport, out: &mut Vec<u8>) {
    // the fields of the choice in `Layer4`
    let (field, first, second) = match transport {
        Transport::Tcp { source, destination, .. } => (1, source, destination),
        Transport::Udp { source, destination } => (2, source, destination),
        Transport::Icmp { kind, code } => (3, kind.into(), code.into()),
        Transport::Icmpv6 { kind, code } => (4, kind.into(), code.into()),
        Transport::Sctp { source, destination } => (5, source, destination),
        Transport::Other(_) => return,
    };
    let mut header = Short::<LONGEST>::new();
    header.number(FIRST, first.into());
    header.number(SECOND, second.into());
    if let Transport::Tcp { flags, .. } = transport {
        header.short_field(FLAGS, tcp_flags(flags).as_slice());
    }
    let mut choice = Short::<LONGEST>::new();
    choice.short_field(field << 3 | 2, header.as_slice());
    let mut part = Short::<LONGEST>::new();
    part.short_field(key::<1>(TRANSPORT, LENGTH)[0], choice.as_slice());
    out.extend_from_slice(part.as_slice());
}

/// `TCPFlags` has a field for each bit, counted from 1.
fn tcp_flags(flags: TcpFlags) -> Short<16> {
    let mut message = Short::new();
    for (bit, field) in (0..8).zip(1_u8..) {
        message.number(field << 3, u64::from(flags.0 >> bit & 1));
    }
    message
}

/// Writes summaries.
#[derive(Debug)]
pub struct PacketParts {
    mask: PartMask,
    cache: Cache,
}

impl PacketParts {
    pub fn new(mask: PartMask) -> Self {
        Self { mask, cache: Cache::default() }
    }

    pub fn summary(&mut self, transport: Transport, source: IpAddr, event: Event) -> &[u8] {
        let Self { mask, cache } = self;
        cache.part(number(transport, source, event), |out| {
            let summary = summary::of_event(transport, source, event);
            mask.copy(&proto::Flow { summary, ..proto::Flow::default() }.encode_to_vec(), out);
        })
    }
}

/// A number that no packet with another summary has.
fn number(transport: Transport, source: IpAddr, event: Event) -> u32 {
    let (kind, first, second) = match transport {
        Transport::Tcp { flags, .. } => (0, flags.0, 0),
        Transport::Udp { .. } => (1, 0, 0),
        Transport::Sctp { .. } => (2, 0, 0),
        Transport::Icmp { kind, code } => (3, kind, code),
        Transport::Icmpv6 { kind, code } => (4, kind, code),
        Transport::Other(protocol) => (5, protocol, u8::from(source.is_ipv4())),
    };
    let is_undelivered = event == Event::Trace(ObservationPoint::FromEndpoint);
    u32::from_be_bytes([u8::from(is_undelivered), kind, first, second])
}
