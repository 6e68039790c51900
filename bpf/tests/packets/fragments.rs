//! Datagrams in several pieces.

use crate::craft::{
    self, Extension, ICMP, Piece, SYN, TCP, UDP, address, frame, icmp_message, ipv4, ipv6, tcp_segment,
    udp_datagram,
};
use crate::datapath::{DROP, Datapath, PASS};
use crate::told::told;
use crate::world::{FRIEND, SET, isolated, peer_rule, port_rule, protocol_rule, world};
use palomar_bpf::abi::{Direction, Mode, POLICY_CHECK_SOURCE, POLICY_ENFORCED, POLICY_ISOLATED_EGRESS};

/// Piece of a datagram from the pod to the friend.
fn piece4(protocol: u8, id: u16, offset: u16, payload: &[u8]) -> Vec<u8> {
    let piece = Piece { id, offset, more: offset == 0 };
    frame(&ipv4(address("10.0.0.10"), address("10.0.0.20"), protocol, &[], Some(piece), payload))
}

fn piece6(protocol: u8, id: u32, offset: u16, payload: &[u8]) -> Vec<u8> {
    let cut = [Extension::Fragment { id, offset, more: offset == 0 }];
    frame(&ipv6(address("fd00::10"), address("fd00::20"), &cut, protocol, payload))
}

/// First and later pieces of one UDP datagram from port 1000 to 53.
fn datagrams() -> [[Vec<u8>; 2]; 2] {
    let first = udp_datagram(1000, 53);
    [
        [piece4(UDP, 5, 0, &first), piece4(UDP, 5, 16, &[0; 8])],
        [piece6(UDP, 5, 0, &first), piece6(UDP, 5, 16, &[0; 8])],
    ]
}

fn enforced(rule: palomar_bpf::abi::RuleKey) -> Datapath {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(rule, 1);
    datapath
}

#[test]
fn later_fragments_follow_the_first() {
    for [first, later] in datagrams() {
        let mut datapath = enforced(port_rule(FRIEND, Direction::Egress, UDP, 53));
        assert_eq!((datapath.pod_sends(&first), datapath.pod_sends(&later)), (PASS, PASS));
        assert_eq!(told(&mut datapath), ["policy 2 allowed new", "to-stack new"]);
        let [(_, connection)] = datapath.connections()[..] else { panic!("one connection") };
        assert_eq!(connection.packets, [0, 2]);
        let mut datapath = enforced(port_rule(FRIEND, Direction::Egress, UDP, 54));
        assert_eq!((datapath.pod_sends(&first), datapath.pod_sends(&later)), (DROP, DROP));
    }
}

#[test]
fn a_fragment_whose_first_was_not_seen_is_judged_by_rules_without_ports() {
    for [_, later] in datagrams() {
        for (rule, verdict) in [
            (port_rule(FRIEND, Direction::Egress, UDP, 53), DROP),
            (port_rule(FRIEND, Direction::Egress, UDP, 0), DROP),
            (protocol_rule(FRIEND, Direction::Egress, TCP), DROP),
            (protocol_rule(FRIEND, Direction::Egress, UDP), PASS),
            (peer_rule(FRIEND, Direction::Egress), PASS),
        ] {
            assert_eq!(enforced(rule).pod_sends(&later), verdict, "{rule:?}");
        }
    }
}

#[test]
fn fragments_of_another_datagram_do_not_follow() {
    for (first, later) in [
        (piece4(UDP, 5, 0, &udp_datagram(1000, 53)), piece4(UDP, 6, 16, &[0; 8])),
        (piece4(UDP, 5, 0, &udp_datagram(1000, 53)), piece4(TCP, 5, 16, &[0; 8])),
        (piece6(UDP, 5, 0, &udp_datagram(1000, 53)), piece6(UDP, 6, 16, &[0; 8])),
    ] {
        let mut datapath = enforced(port_rule(FRIEND, Direction::Egress, UDP, 53));
        assert_eq!((datapath.pod_sends(&first), datapath.pod_sends(&later)), (PASS, DROP));
    }
}

#[test]
fn a_later_fragment_takes_its_protocol_from_the_first() {
    // the first has destination options before UDP; its fragment header, and that of the later one, names those
    let cut = |offset, more| Extension::Fragment { id: 5, offset, more };
    let (pod, peer) = (address("fd00::10"), address("fd00::20"));
    let first = ipv6(pod, peer, &[cut(0, true), Extension::Destination], UDP, &udp_datagram(1000, 53));
    let later = ipv6(pod, peer, &[cut(32, false)], 60, &[0; 8]);
    let mut datapath = enforced(port_rule(FRIEND, Direction::Egress, UDP, 53));
    assert_eq!((datapath.pod_sends(&frame(&first)), datapath.pod_sends(&frame(&later))), (PASS, PASS));
    assert_eq!(datapath.connections().len(), 1);
}

#[test]
fn a_long_ping_is_one_connection() {
    let mut datapath = world(crate::datapath::Load::default());
    datapath.pod_sends(&piece4(ICMP, 5, 0, &icmp_message(8, 0, 7, &[0; 8])));
    datapath.pod_sends(&piece4(ICMP, 5, 16, &[0; 8]));
    assert_eq!(told(&mut datapath), ["to-stack new"]);
    assert_eq!(datapath.connections().len(), 1);
}

#[test]
fn later_fragments_of_housekeeping_pass_unseen_and_orphans_are_judged() {
    let neighbour = icmp_message(135, 0, 0, &[0; 16]);
    let mut datapath = isolated(Mode::Enforce);
    assert_eq!(datapath.pod_sends(&piece6(58, 5, 24, &[0; 8])), DROP);
    assert_eq!(datapath.pod_sends(&piece6(58, 6, 0, &neighbour)), PASS);
    assert_eq!(datapath.pod_sends(&piece6(58, 6, 24, &[0; 8])), PASS);
}

#[test]
fn a_first_fragment_is_remembered_only_when_it_passes() {
    let cut = |offset, payload: &[u8], protocol| {
        let piece = Piece { id: 5, offset, more: offset == 0 };
        frame(&ipv4(address("10.0.0.10"), address("10.0.0.20"), protocol, &[], Some(piece), payload))
    };
    let foreign = Piece { id: 5, offset: 0, more: true };
    let foreign =
        |first| frame(&ipv4(address("10.9.9.9"), address("10.0.0.20"), UDP, &[], Some(foreign), first));
    let udp = udp_datagram(1000, 53);
    for (name, mode, frame, remembered) in [
        ("allowed", Mode::Enforce, cut(0, &udp, UDP), 1),
        ("denied by its port", Mode::Enforce, cut(0, &udp_datagram(1000, 54), UDP), 0),
        ("denied by its protocol", Mode::Enforce, cut(0, &tcp_segment(1000, 53, SYN), TCP), 0),
        ("of a foreign source", Mode::Enforce, foreign(&udp), 0),
        ("unreadable", Mode::Enforce, cut(0, &udp[..2], UDP), 0),
        ("audited", Mode::Audit, cut(0, &udp_datagram(1000, 54), UDP), 1),
        ("a later fragment", Mode::Audit, cut(16, &udp, UDP), 0),
        ("a whole datagram", Mode::Audit, craft::udp("10.0.0.10:1000", "10.0.0.20:53"), 0),
        ("housekeeping", Mode::Enforce, piece6(58, 6, 0, &icmp_message(135, 0, 0, &[0; 16])), 1),
    ] {
        let mut datapath = isolated(mode);
        let flags = POLICY_ISOLATED_EGRESS | POLICY_CHECK_SOURCE | POLICY_ENFORCED;
        datapath.policy(SET, 2, flags);
        datapath.rule(port_rule(FRIEND, Direction::Egress, UDP, 53), 1);
        let verdict = datapath.pod_sends(&frame);
        assert_eq!(verdict == PASS, remembered == 1 || mode == Mode::Audit, "{name}");
        assert_eq!(datapath.fragments(), remembered, "{name}");
    }
}

#[test]
fn later_fragments_of_a_syn_do_not_open_what_the_syn_may_not() {
    let mut datapath = enforced(peer_rule(FRIEND, Direction::Ingress));
    assert_eq!(
        datapath.pod_sends(&piece4(TCP, 5, 0, &[tcp_segment(1000, 80, SYN), vec![0; 4]].concat())),
        DROP
    );
    assert_eq!(datapath.pod_sends(&piece4(TCP, 5, 24, &[0; 8])), DROP, "nor follow it");
    assert_eq!(datapath.pod_sends(&craft::tcp("10.0.0.10:1000", "10.0.0.20:80", SYN)), DROP);
}
