//! What of a flow its own labels depend on, and nothing else: flows of one shape between ends of the same names count
//! in the same series.

use palomar_flow::view::Side;
use palomar_model::flow::Event;
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{Direction, Verdict};

use super::ends::Traits;
use super::selection::{ContextLabel, Metric, Selection, WorldOptions};
use crate::ring::Record;

/// The shape of a flow. What no chosen metric looks at is left out: it is as in a packet that has nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What was seen.
    pub event: Event,
    /// What happened to the packet.
    pub verdict: Verdict,
    /// Without a source port, and without flags of TCP other than FIN, SYN, RST, and ACK where there is SYN.
    pub transport: Transport,
    /// Whether the addresses are of IPv6.
    pub is_ipv6: bool,
    /// Hubble's `is_reply`.
    pub is_reply: Option<bool>,
    /// Hubble's traffic direction.
    pub direction: Option<Direction>,
    /// Whether the node itself sent the packet.
    pub from_host: bool,
    /// Whether the packet is for the world outside.
    pub to_world: bool,
}

/// What the chosen metrics look at.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for alone, for every flow")]
pub struct Needs {
    flags: bool,
    icmp: bool,
    port: bool,
    world: bool,
    world_port: bool,
    host: bool,
    verdict_direction: bool,
    direction: bool,
}

// === impl Shape ===

impl Shape {
    /// The shape of a record.
    pub fn of(record: &Record, source: Traits, destination: Traits, needs: Needs) -> Self {
        let Record { event, verdict, state, direction, .. } = *record;
        let at_endpoint = match direction {
            Direction::Ingress => destination.at_endpoint,
            Direction::Egress => source.at_endpoint,
        };
        let is_reply = event.is_reply(verdict, state);
        let to_world = needs.world && destination.is_world;
        let keeps_port = needs.port && verdict == Verdict::Forwarded && is_reply == Some(false)
            || needs.world_port && to_world;
        let keeps_direction =
            needs.direction || needs.verdict_direction && matches!(event, Event::PolicyVerdict(_));
        Self {
            event,
            verdict,
            transport: strip(record.transport, keeps_port, needs),
            is_ipv6: record.source_address.is_ipv6(),
            is_reply,
            direction: if keeps_direction {
                event.traffic_direction(state, direction, at_endpoint)
            } else {
                None
            },
            from_host: needs.host && source.is_host,
            to_world,
        }
    }

    /// A number that no other shape has: for tables.
    pub fn number(&self) -> u64 {
        let Self { event, verdict, transport, is_ipv6, is_reply, direction, from_host, to_world } = *self;
        let (kind, detail) = match event {
            Event::Trace(point) => (0, point as u8),
            Event::Drop(reason) => (1, reason.0),
            Event::PolicyVerdict(match_type) => (2, match_type as u8),
        };
        let (protocol, header) = match transport {
            Transport::Tcp { destination, flags, .. } => (0, pair(destination, flags.0)),
            Transport::Udp { destination, .. } => (1, pair(destination, 0)),
            Transport::Sctp { destination, .. } => (2, pair(destination, 0)),
            Transport::Icmp { kind, code } => (3, pair(kind.into(), code)),
            Transport::Icmpv6 { kind, code } => (4, pair(kind.into(), code)),
            Transport::Other(number) => (5, number.into()),
        };
        // every part in bits of its own
        let parts: [(u64, u32); 9] = [
            (kind, 2),
            (detail.into(), 8),
            (verdict as u64, 3),
            (protocol, 3),
            (header, 24),
            (is_ipv6.into(), 1),
            (is_reply.map_or(0, |is_reply| 1 + u64::from(is_reply)), 2),
            (direction.map_or(0, |direction| direction as u64), 2),
            (u64::from(from_host) << 1 | u64::from(to_world), 2),
        ];
        parts.into_iter().fold(0, |number, (part, bits)| number << bits | part)
    }
}

fn pair(high: u16, low: u8) -> u64 {
    u64::from(high) << 8 | u64::from(low)
}

fn strip(transport: Transport, keeps_port: bool, needs: Needs) -> Transport {
    let port = |port| if keeps_port { port } else { 0 };
    match transport {
        Transport::Tcp { destination, flags, .. } => Transport::Tcp {
            source: 0,
            destination: port(destination),
            flags: if needs.flags { told(flags) } else { TcpFlags(0) },
        },
        Transport::Udp { destination, .. } => Transport::Udp { source: 0, destination: port(destination) },
        Transport::Sctp { destination, .. } => Transport::Sctp { source: 0, destination: port(destination) },
        Transport::Icmp { .. } if !needs.icmp => Transport::Icmp { kind: 0, code: 0 },
        Transport::Icmpv6 { .. } if !needs.icmp => Transport::Icmpv6 { kind: 0, code: 0 },
        Transport::Icmp { .. } | Transport::Icmpv6 { .. } => transport,
        Transport::Other(_) => Transport::Other(0),
    }
}

/// The flags that metrics tell.
fn told(flags: TcpFlags) -> TcpFlags {
    let ack = if flags.has(TcpFlags::SYN) { TcpFlags::ACK } else { 0 };
    TcpFlags(flags.0 & (TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST | ack))
}

// === impl Needs ===

impl Needs {
    /// What a selection looks at.
    pub fn of(selection: &Selection) -> Self {
        let mut needs = Self::default();
        for chosen in selection.iter() {
            match chosen.metric {
                Metric::Tcp => needs.flags = true,
                Metric::Icmp => needs.icmp = true,
                Metric::PortDistribution => needs.port = true,
                Metric::FlowsToWorld(WorldOptions { any_drop: _, port, syn_only }) => {
                    needs.world = true;
                    needs.world_port |= port;
                    needs.flags |= syn_only;
                }
                Metric::Policy => {
                    needs.host = true;
                    needs.verdict_direction = true;
                }
                Metric::Drop | Metric::Flow => {}
            }
            let contexts = &chosen.contexts;
            needs.direction |= Side::BOTH.iter().any(|side| contexts.side(*side).minds_direction())
                || contexts.labels.contains(&ContextLabel::TrafficDirection);
        }
        needs
    }
}
