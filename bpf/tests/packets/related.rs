//! ICMP errors.

use crate::craft::{ACK, FIN, Piece, SYN, UDP, address, frame, icmp, ipv4, quote, tcp, udp, udp_datagram};
use crate::datapath::{DROP, Datapath, PASS};
use crate::told::told;
use crate::world::{FRIEND, checked, isolated, peer_rule, port_rule};
use palomar_bpf::abi::{Direction, Mode, RULE_PREFIX_PEER, RuleKey};
use std::net::SocketAddr;

const POD: &str = "10.0.0.10:1000";
/// On the way, nobody's peer.
const ROUTER: &str = "10.8.0.1";

/// Enforced; the pod may ask the friend's port 53, and has done so over both families.
fn asked() -> Datapath {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(port_rule(FRIEND, Direction::Egress, UDP, 53), 1);
    assert_eq!(datapath.pod_sends(&udp(POD, "10.0.0.20:53")), PASS);
    assert_eq!(datapath.pod_sends(&udp("[fd00::10]:1000", "[fd00::20]:53")), PASS);
    told(&mut datapath);
    datapath
}

#[test]
fn an_error_about_a_packet_of_a_connection_passes() {
    let mut datapath = asked();
    let query = udp(POD, "10.0.0.20:53");
    for kind in [3, 4, 5, 11, 12] {
        for length in [28, 40] {
            let error = icmp(ROUTER, "10.0.0.10", kind, 0, &quote(&query, length));
            assert_eq!(datapath.pod_gets(&error), PASS, "type {kind}, {length} bytes quoted");
        }
    }
    let query = udp("[fd00::10]:1000", "[fd00::20]:53");
    for kind in 1..=4 {
        let error = icmp("fd08::1", "fd00::10", kind, 0, &quote(&query, 48));
        assert_eq!(datapath.pod_gets(&error), PASS, "type {kind}");
    }
    let lines = told(&mut datapath);
    assert!(lines.iter().all(|line| line == "to-endpoint related"), "{lines:?}");
    assert_eq!(lines.len(), 14, "ten of the one family, four of the other");
}

#[test]
fn an_error_that_the_pod_sends_about_what_it_was_sent_passes() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(port_rule(FRIEND, Direction::Ingress, UDP, 1000), 1);
    let query = udp("10.0.0.20:53", POD);
    assert_eq!(datapath.pod_gets(&query), PASS);
    told(&mut datapath);
    assert_eq!(datapath.pod_sends(&icmp("10.0.0.10", "10.0.0.20", 3, 0, &quote(&query, 28))), PASS);
    assert_eq!(told(&mut datapath), ["to-stack related"]);
}

#[test]
fn an_error_about_a_ping_passes() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(peer_rule(FRIEND, Direction::Egress), 1);
    let ping = icmp("10.0.0.10", "10.0.0.20", 8, 7, &[]);
    assert_eq!(datapath.pod_sends(&ping), PASS);
    assert_eq!(datapath.pod_gets(&icmp(ROUTER, "10.0.0.10", 3, 0, &quote(&ping, 28))), PASS);
}

#[test]
fn an_error_about_nothing_known_is_judged_as_any_icmp() {
    let later = Piece { id: 1, offset: 16, more: false };
    let later =
        ipv4(address("10.0.0.10"), address("10.0.0.20"), UDP, &[], Some(later), &udp_datagram(1000, 53));
    for (name, quoted) in [
        ("another port", quote(&udp(POD, "10.0.0.20:54"), 28)),
        ("another peer", quote(&udp(POD, "10.0.0.30:53"), 28)),
        ("another protocol", quote(&tcp(POD, "10.0.0.20:53", ACK), 40)),
        ("the wrong way round", quote(&udp("10.0.0.20:53", POD), 28)),
        ("a later fragment", quote(&frame(&later), 28)),
        ("a quotation cut before its ports", quote(&udp(POD, "10.0.0.20:53"), 23)),
        ("no quotation", vec![]),
    ] {
        let mut datapath = asked();
        let error = icmp(ROUTER, "10.0.0.10", 3, 0, &quoted);
        assert_eq!(datapath.pod_gets(&error), DROP, "{name}");
        datapath.rule(RuleKey { prefix_len: RULE_PREFIX_PEER, ..peer_rule(2, Direction::Ingress) }, 1);
        assert_eq!(datapath.pod_gets(&error), PASS, "{name}: allowed from the world");
    }
}

#[test]
fn an_error_sent_to_another_address_than_the_quoted_source_is_made_up() {
    let error = icmp(ROUTER, "10.0.0.11", 3, 0, &quote(&udp(POD, "10.0.0.20:53"), 28));
    assert_eq!(asked().pod_gets(&error), DROP);
}

#[test]
fn an_error_that_the_pod_sends_goes_to_where_the_quoted_packet_came_from() {
    for (pod, peer, others, kinds) in [
        ("10.0.0.10", "10.0.0.20", ["10.0.0.30", "203.0.113.1"], [3, 11]),
        ("fd00::10", "fd00::20", ["fd00::30", "2001:db8::1"], [1, 3]),
    ] {
        let mut datapath = isolated(Mode::Enforce);
        datapath.rule(port_rule(FRIEND, Direction::Ingress, UDP, 1000), 1);
        let at = |address: &str, port| SocketAddr::new(crate::craft::address(address), port).to_string();
        let query = udp(&at(peer, 53), &at(pod, 1000));
        assert_eq!(datapath.pod_gets(&query), PASS);
        for kind in kinds {
            let error = |to| icmp(pod, to, kind, 0, &[quote(&query, 48), b"carried out".to_vec()].concat());
            for other in others {
                assert_eq!(datapath.pod_sends(&error(other)), DROP, "type {kind} to {other}");
            }
            assert_eq!(datapath.pod_sends(&error(peer)), PASS, "type {kind}");
        }
    }
}

#[test]
fn an_error_from_an_address_that_is_not_the_pods_does_not_ride_on_what_it_quotes() {
    let query = udp("10.0.0.20:53", "10.0.0.255:1000");
    let error = icmp("10.0.0.255", "10.0.0.20", 3, 0, &quote(&query, 28));
    for (mode, verdict, events) in [
        (Mode::Enforce, DROP, vec!["drop 132 denied new"]),
        (Mode::Audit, PASS, vec!["drop 132 audited new", "to-stack new"]),
        (Mode::Off, PASS, vec!["to-stack related"]),
    ] {
        let mut datapath = checked(mode);
        assert_eq!(datapath.pod_gets(&query), PASS);
        told(&mut datapath);
        assert_eq!(datapath.pod_sends(&error), verdict, "{mode:?}");
        assert_eq!(told(&mut datapath), events, "{mode:?}");
    }
}

#[test]
fn an_error_about_a_connection_that_policy_has_closed_does_not_pass() {
    let error = icmp(ROUTER, "10.0.0.10", 3, 0, &quote(&udp(POD, "10.0.0.20:53"), 28));
    let mut datapath = asked();
    datapath.next_revision();
    assert_eq!(datapath.pod_gets(&error), PASS);
    datapath.forget_rule(port_rule(FRIEND, Direction::Egress, UDP, 53));
    datapath.next_revision();
    assert_eq!(datapath.pod_gets(&error), DROP);
}

#[test]
fn an_error_opens_nothing() {
    let mut datapath = asked();
    let before = datapath.connections().len();
    datapath.pod_gets(&icmp(ROUTER, "10.0.0.10", 3, 0, &quote(&udp(POD, "10.0.0.20:53"), 28)));
    assert_eq!(datapath.connections().len(), before);
    let syn = tcp("10.0.0.20:53", POD, SYN | FIN);
    assert_eq!(datapath.pod_gets(&syn), DROP);
}
