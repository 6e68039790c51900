//! What the programs read out of packets.

use crate::craft::*;
use crate::datapath::{Load, PASS, Via};
use crate::world::{isolated, world};
use palomar_bpf::abi::{Counter, Direction, Endpoint, Mode, address_from_bytes};

const POD: &str = "10.0.0.10:1000";
const PEER: &str = "10.0.0.20:80";
const POD6: &str = "[fd00::10]:1000";
const PEER6: &str = "[fd00::20]:80";

/// What an event must show of a packet from 1000 to 80: protocol, ports, TCP flags, ICMP type.
struct Shown {
    name: &'static str,
    frame: Vec<u8>,
    protocol: u8,
    ports: bool,
    tcp_flags: u8,
    icmp_type: u8,
}

fn shown(name: &'static str, frame: Vec<u8>, protocol: u8) -> Shown {
    let ports = matches!(protocol, TCP | UDP | SCTP);
    Shown { name, frame, protocol, ports, tcp_flags: if protocol == TCP { SYN } else { 0 }, icmp_type: 0 }
}

fn extended(extensions: &[Extension], protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame(&ipv6(address("fd00::10"), address("fd00::20"), extensions, protocol, payload))
}

pub fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    every_kind().into_iter().map(|kind| (kind.name, kind.frame)).collect()
}

fn every_kind() -> Vec<Shown> {
    let segment = tcp_segment(1000, 80, SYN);
    let (v4, w4) = (address("10.0.0.10"), address("10.0.0.20"));
    let mut kinds = vec![
        shown("tcp over IPv4", tcp(POD, PEER, SYN), TCP),
        shown("udp over IPv4", udp(POD, PEER), UDP),
        shown("sctp over IPv4", transport(POD, PEER, SCTP, 0), SCTP),
        shown("tcp over IPv6", tcp(POD6, PEER6, SYN), TCP),
        shown("udp over IPv6", udp(POD6, PEER6), UDP),
        shown("sctp over IPv6", transport(POD6, PEER6, SCTP, 0), SCTP),
        shown("IPv4 options", frame(&ipv4(v4, w4, TCP, &[1; 12], None, &segment)), TCP),
        shown("the most IPv4 options", frame(&ipv4(v4, w4, TCP, &[1; 40], None, &segment)), TCP),
        shown("one VLAN tag", vlan(&[0x8100], &tcp(POD, PEER, SYN)), TCP),
        shown("two VLAN tags", vlan(&[0x88a8, 0x8100], &tcp(POD6, PEER6, SYN)), TCP),
        shown("hop-by-hop options", extended(&[Extension::HopByHop], TCP, &segment), TCP),
        shown("a routing header", extended(&[Extension::Routing], UDP, &udp_datagram(1000, 80)), UDP),
        shown("destination options", extended(&[Extension::Destination], SCTP, &sctp_packet(1000, 80)), SCTP),
        shown("an authentication header", extended(&[Extension::Authentication], TCP, &segment), TCP),
        shown(
            "an atomic fragment",
            extended(&[Extension::Fragment { id: 1, offset: 0, more: false }], TCP, &segment),
            TCP,
        ),
        shown(
            "six extension headers",
            extended(
                &[
                    Extension::HopByHop,
                    Extension::Destination,
                    Extension::Routing,
                    Extension::Fragment { id: 1, offset: 0, more: false },
                    Extension::Authentication,
                    Extension::Destination,
                ],
                TCP,
                &segment,
            ),
            TCP,
        ),
        shown("GRE over IPv4", frame(&ip(v4, w4, 47, &[0; 12])), 47),
        shown("ESP over IPv6", extended(&[], 50, &[0; 12]), 50),
        shown("no next header", extended(&[Extension::HopByHop], 59, &[]), 59),
        shown("IPv4 authentication header", frame(&ip(v4, w4, 51, &[0; 24])), 51),
        shown("ICMPv6 in IPv4", frame(&ip(v4, w4, ICMPV6, &icmp_message(135, 0, 0, &[0; 16]))), ICMPV6),
        shown("ICMP in IPv6", extended(&[], ICMP, &icmp_message(8, 0, 0, &[])), ICMP),
    ];
    for (name, kind) in [("echo", 8), ("timestamp", 13), ("router advertisement of IPv4", 9)] {
        kinds.push(Shown {
            icmp_type: kind,
            ..shown(name, icmp("10.0.0.10", "10.0.0.20", kind, 7, &[]), ICMP)
        });
    }
    kinds.push(Shown {
        icmp_type: 128,
        ..shown("echo v6", icmp("fd00::10", "fd00::20", 128, 7, &[]), ICMPV6)
    });
    kinds
}

#[test]
fn each_kind_of_packet_is_told_with_its_addresses_and_ports() {
    for kind in every_kind() {
        let name = kind.name;
        let mut datapath = world(Load::default());
        assert_eq!(datapath.pod_sends(&kind.frame), PASS, "{name}");
        let events = datapath.events();
        assert_eq!(events.len(), 1, "{name}: {events:?}");
        let event = events[0];
        let v6 = event.family == 6;
        assert_eq!(
            address_from_bytes(event.source),
            address(if v6 { "fd00::10" } else { "10.0.0.10" }),
            "{name}"
        );
        assert_eq!(
            address_from_bytes(event.destination),
            address(if v6 { "fd00::20" } else { "10.0.0.20" }),
            "{name}"
        );
        let ports = if kind.ports { (1000, 80) } else { (0, 0) };
        assert_eq!((u16::from_be(event.source_port), u16::from_be(event.destination_port)), ports, "{name}");
        assert_eq!(
            (event.protocol, event.tcp_flags, event.icmp_type),
            (kind.protocol, kind.tcp_flags, kind.icmp_type),
            "{name}"
        );
        assert_eq!(datapath.count(Counter::Malformed), 0, "{name}");
    }
}

#[test]
fn what_is_not_ip_passes_unseen() {
    let arp = ethernet(0x0806, &[0; 28]);
    let lldp = ethernet(0x88cc, &[0; 40]);
    let tagged_arp = vlan(&[0x8100], &arp);
    let cut_tag = vlan(&[0x8100], &arp)[..15].to_vec();
    for frame in [arp, lldp, tagged_arp, cut_tag] {
        let mut datapath = isolated(Mode::Enforce);
        assert_eq!((datapath.pod_sends(&frame), datapath.pod_gets(&frame)), (PASS, PASS));
        assert_eq!((datapath.events(), datapath.connections()), (vec![], vec![]));
        assert_eq!(datapath.count(Counter::Malformed), 0);
    }
}

#[test]
fn neighbour_and_multicast_housekeeping_is_neither_judged_nor_told() {
    for kind in (130..=137).chain([143]) {
        let mut datapath = isolated(Mode::Enforce);
        let plain = icmp("fd00::10", "ff02::1", kind, 0, &[0; 16]);
        let alert = extended(&[Extension::HopByHop], ICMPV6, &icmp_message(kind, 0, 0, &[0; 16]));
        for frame in [plain, alert] {
            assert_eq!((datapath.pod_sends(&frame), datapath.pod_gets(&frame)), (PASS, PASS), "type {kind}");
        }
        assert_eq!((datapath.events(), datapath.connections()), (vec![], vec![]), "type {kind}");
    }
}

#[test]
fn an_interface_that_is_not_observed_passes_everything_unseen() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.endpoint(Endpoint::default());
    assert_eq!(datapath.pod_sends(&tcp(POD, PEER, SYN)), PASS);
    assert_eq!((datapath.events(), datapath.count(Counter::Forwarded)), (vec![], 0));
}

#[test]
fn segments_and_bytes_are_counted_per_direction() {
    let mut datapath = world(Load::default());
    let (there, back) = (tcp(POD, PEER, SYN), tcp(PEER, POD, SYN | ACK));
    datapath.run(Direction::Egress, &there, Via { gso_segments: 1, ..Via::default() });
    datapath.run(Direction::Egress, &tcp(POD, PEER, ACK), Via { gso_segments: 40, ..Via::default() });
    datapath.run(Direction::Ingress, &back, Via::default());
    let counts: Vec<_> = datapath.events().iter().map(|e| (e.direction, e.packets, e.bytes)).collect();
    let length = there.len() as u64;
    assert_eq!(counts, [(2, 1, length), (2, 41, 2 * length), (1, 1, length)]);
    let [(_, connection)] = datapath.connections()[..] else { panic!("one connection") };
    assert_eq!((connection.packets, connection.bytes), ([1, 41], [length, 2 * length]));
}
