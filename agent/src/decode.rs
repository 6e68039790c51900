//! A record of the kernel's ring buffer as typed facts. Whatever the bytes are, the answer is an event or an error
//! that names what is wrong.

use std::net::{IpAddr, Ipv6Addr};

use palomar_bpf::abi::{self, EVENT_FOREIGN, EVENT_SOURCE_MASKED, PolicyWord};
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::Event;
use palomar_model::packet::{Protocol, TcpFlags, Transport};
use palomar_model::verdict::{
    ConnectionState, Direction, EventKind, MatchType, ObservationPoint, UnknownNumber, Verdict,
};

/// What the kernel told of one packet. Identities are the kernel's internal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelEvent {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// What was seen.
    pub event: Event,
    /// What happened to the packet.
    pub verdict: Verdict,
    /// What connection tracking knew.
    pub state: ConnectionState,
    /// The packet's direction at the endpoint.
    pub direction: Direction,
    /// The packet's source address.
    pub source_address: IpAddr,
    /// The packet's destination address.
    pub destination_address: IpAddr,
    /// The packet's transport header.
    pub transport: Transport,
    /// Whether the source address is the node's on a forwarded packet, so that the real source is hidden.
    pub source_masked: bool,
    /// Who the source was when the packet passed.
    pub source_identity: u32,
    /// Who the destination was when the packet passed.
    pub destination_identity: u32,
    /// The interface.
    pub ifindex: u32,
    /// The number of the endpoint behind it.
    pub endpoint: u32,
    /// The endpoint's policy that was in force.
    pub policy: PolicyWord,
    /// The rules that allowed by identity or from any peer; 0 for none.
    pub rule_set: u32,
    /// The rules that allowed by CIDR class; 0 for none.
    pub class_rule_set: u32,
    /// Events like this one that the rate limit left out before it; what is left out after the last is in the kernel's
    /// counter only.
    pub suppressed: u32,
    /// The peer's CIDR class; 0 for none.
    pub class: u32,
    /// What somebody else in the kernel dropped the packet for; `None` for what our own programs told. The code of its
    /// event is not known yet.
    pub foreign: Option<ForeignDrop>,
}

/// How somebody else in the kernel dropped a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ForeignDrop {
    /// The running kernel's number of the reason.
    pub reason: u32,
    /// The address in the kernel that dropped it.
    pub place: u64,
}

/// Why an event cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKernelEvent {
    /// A number that its enumeration does not have.
    #[error(transparent)]
    Number(#[from] UnknownNumber),
    /// Neither 4 nor 6.
    #[error("address family {0} is neither 4 nor 6")]
    Family(u8),
    /// The family says IPv4, and an address is not an IPv4 address mapped into IPv6.
    #[error("address {0} is not of family 4")]
    Address(Ipv6Addr),
}

// === impl KernelEvent ===

impl TryFrom<&abi::Event> for KernelEvent {
    type Error = InvalidKernelEvent;

    #[inline]
    fn try_from(event: &abi::Event) -> Result<Self, InvalidKernelEvent> {
        let abi::Event {
            time,
            version: _,
            kind,
            detail,
            verdict,
            direction,
            state,
            family,
            protocol,
            source,
            destination,
            source_port,
            destination_port,
            tcp_flags,
            icmp_type,
            icmp_code,
            flags,
            source_identity,
            destination_identity,
            ifindex,
            endpoint,
            policy,
            rule_set,
            class_rule_set,
            suppressed,
            class,
            // connection totals; Hubble's messages have no place for them
            packets: _,
            bytes: _,
        } = *event;
        let is_foreign = flags & EVENT_FOREIGN != 0;
        let ours = |number| if is_foreign { 0 } else { number };
        Ok(Self {
            monotonic_ns: time,
            event: match EventKind::try_from(kind)? {
                EventKind::Drop => Event::Drop(DropReason(detail)),
                EventKind::Trace => Event::Trace(ObservationPoint::try_from(detail)?),
                EventKind::PolicyVerdict => Event::PolicyVerdict(MatchType::try_from(detail)?),
            },
            verdict: verdict.try_into()?,
            state: ConnectionState::try_from(state)?,
            direction: Direction::try_from(direction)?,
            source_address: address(source, family)?,
            destination_address: address(destination, family)?,
            transport: transport(
                protocol,
                (u16::from_be(source_port), u16::from_be(destination_port)),
                TcpFlags(tcp_flags),
                (icmp_type, icmp_code),
            ),
            source_masked: flags & EVENT_SOURCE_MASKED != 0,
            source_identity,
            destination_identity,
            ifindex,
            endpoint,
            policy: if is_foreign { PolicyWord::default() } else { policy },
            rule_set: ours(rule_set),
            class_rule_set,
            suppressed,
            class,
            foreign: is_foreign.then_some(ForeignDrop { reason: rule_set, place: policy.0 }),
        })
    }
}

fn address(bytes: [u8; 16], family: u8) -> Result<IpAddr, InvalidKernelEvent> {
    let address = Ipv6Addr::from(bytes);
    match family {
        4 => address.to_ipv4_mapped().map(IpAddr::V4).ok_or(InvalidKernelEvent::Address(address)),
        6 => Ok(IpAddr::V6(address)),
        other => Err(InvalidKernelEvent::Family(other)),
    }
}

fn transport(protocol: u8, ports: (u16, u16), flags: TcpFlags, icmp: (u8, u8)) -> Transport {
    let ((source, destination), (kind, code)) = (ports, icmp);
    match Protocol::from_number(protocol) {
        Protocol::Tcp => Transport::Tcp { source, destination, flags },
        Protocol::Udp => Transport::Udp { source, destination },
        Protocol::Sctp => Transport::Sctp { source, destination },
        Protocol::Icmp => Transport::Icmp { kind, code },
        Protocol::Icmpv6 => Transport::Icmpv6 { kind, code },
        Protocol::Other(number) => Transport::Other(number),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> abi::Event {
        abi::Event {
            time: 77,
            version: abi::ABI_VERSION,
            kind: 5,
            detail: 2,
            verdict: 1,
            direction: 2,
            state: 1,
            family: 4,
            protocol: 6,
            source: abi::address_bytes([10, 0, 0, 1].into()),
            destination: abi::address_bytes([10, 0, 0, 2].into()),
            source_port: 40_000_u16.to_be(),
            destination_port: 8_080_u16.to_be(),
            tcp_flags: TcpFlags::SYN,
            flags: EVENT_SOURCE_MASKED,
            ifindex: 9,
            ..abi::Event::default()
        }
    }

    #[test]
    fn an_event_is_read_with_ports_in_host_order_and_addresses_of_their_family() {
        let event = KernelEvent::try_from(&sample()).unwrap();
        assert_eq!(event.event, Event::PolicyVerdict(MatchType::L3L4));
        assert_eq!(event.source_address, IpAddr::from([10, 0, 0, 1]));
        assert_eq!(
            event.transport,
            Transport::Tcp { source: 40_000, destination: 8_080, flags: TcpFlags(TcpFlags::SYN) }
        );
        assert!(event.source_masked);
        assert_eq!((event.monotonic_ns, event.direction), (77, Direction::Egress));
    }

    #[test]
    fn a_drop_by_somebody_else_has_a_reason_and_a_place_and_no_policy() {
        let drop =
            abi::Event { kind: 1, detail: 0, verdict: 2, policy: PolicyWord(77), rule_set: 12, ..sample() };
        let foreign = abi::Event { flags: EVENT_FOREIGN, ..drop };
        let event = KernelEvent::try_from(&foreign).unwrap();
        assert_eq!(event.foreign, Some(ForeignDrop { reason: 12, place: 77 }));
        assert_eq!((event.policy, event.rule_set), (PolicyWord::default(), 0));
        let event = KernelEvent::try_from(&drop).unwrap();
        assert_eq!((event.foreign, event.policy, event.rule_set), (None, PolicyWord(77), 12));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let number = |what, number| InvalidKernelEvent::Number(UnknownNumber { what, number });
        let cases: [(abi::Event, InvalidKernelEvent); 7] = [
            (abi::Event { kind: 9, ..sample() }, number("event kind", 9)),
            (abi::Event { detail: 7, ..sample() }, number("match type", 7)),
            (abi::Event { kind: 4, detail: 1, ..sample() }, number("observation point", 1)),
            (abi::Event { verdict: 3, ..sample() }, number("verdict", 3)),
            (abi::Event { direction: 0, ..sample() }, number("traffic direction", 0)),
            (abi::Event { family: 5, ..sample() }, InvalidKernelEvent::Family(5)),
            (
                abi::Event { destination: [1; 16], ..sample() },
                InvalidKernelEvent::Address(Ipv6Addr::from([1; 16])),
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(KernelEvent::try_from(&event), Err(expected));
        }
    }

    #[test]
    fn an_ipv6_packet_keeps_its_addresses_even_if_they_look_mapped() {
        let event = KernelEvent::try_from(&abi::Event { family: 6, ..sample() }).unwrap();
        assert_eq!(event.source_address.to_string(), "::ffff:10.0.0.1");
    }

    proptest! {
        #[test]
        fn random_bytes_are_an_event_or_an_error(
            mut bytes in prop::collection::vec(any::<u8>(), 0..160),
            plausible: bool,
            numbers: [u8; 6],
        ) {
            if plausible && bytes.len() > 14 {
                bytes[8] = abi::ABI_VERSION;
                bytes[9] = [1, 4, 5][usize::from(numbers[0] % 3)];
                bytes[10] = numbers[1] % 8;
                bytes[11] = numbers[2] % 5;
                bytes[12] = numbers[3] % 3;
                bytes[13] = numbers[4] % 5;
                bytes[14] = 3 + numbers[5] % 4;
            }
            if let Ok(event) = abi::Event::read(&bytes)
                && let Ok(typed) = KernelEvent::try_from(&event)
            {
                prop_assert_eq!(typed.source_address.is_ipv4(), event.family == 4);
                prop_assert_eq!(abi::address_bytes(typed.destination_address), event.destination);
                prop_assert_eq!(typed.direction as u8, event.direction);
            }
        }
    }
}
