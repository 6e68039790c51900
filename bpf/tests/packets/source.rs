//! The source check.

use crate::craft::{SYN, icmp, tcp, udp};
use crate::datapath::{DROP, Datapath, PASS};
use crate::told::told;
use crate::world::{FRIEND, SET, checked, peer_rule};
use palomar_bpf::abi::{
    Direction, Mode, POLICY_CHECK_SOURCE, POLICY_ENFORCED, POLICY_ISOLATED_EGRESS, POLICY_ISOLATED_INGRESS,
};

#[test]
fn a_pod_sends_from_its_own_addresses_only() {
    for (name, frame, verdict) in [
        ("its IPv4 address", tcp("10.0.0.10:1000", "10.0.0.20:80", SYN), PASS),
        ("its IPv6 address", udp("[fd00::10]:1000", "[fd00::20]:80"), PASS),
        ("a friend's address", tcp("10.0.0.20:1000", "10.0.0.30:80", SYN), DROP),
        ("another local pod's address", udp("10.0.0.40:1000", "10.0.0.30:80"), DROP),
        ("its node's address", icmp("10.0.0.1", "10.0.0.20", 8, 7, &[]), DROP),
        ("an address of the world", udp("203.0.113.1:1000", "10.0.0.30:80"), DROP),
        ("a foreign IPv6 address", udp("[2001:db8::1]:1000", "[fd00::20]:80"), DROP),
        ("link-local IPv6", udp("[fe80::1]:1000", "[fd00::20]:80"), PASS),
        ("the end of link-local IPv6", udp("[febf::1]:1000", "[fd00::20]:80"), PASS),
        ("beyond link-local IPv6", udp("[fec0::1]:1000", "[fd00::20]:80"), DROP),
        ("link-local IPv4", udp("169.254.3.4:1000", "10.0.0.30:80"), PASS),
        ("beyond link-local IPv4", udp("169.255.3.4:1000", "10.0.0.30:80"), DROP),
        ("the unspecified IPv4 address", udp("0.0.0.0:1000", "10.0.0.30:80"), PASS),
        ("the unspecified IPv6 address", udp("[::]:1000", "[fd00::20]:80"), PASS),
        ("DHCP from another address", udp("10.9.9.9:68", "255.255.255.255:67"), PASS),
        ("DHCP the other way", udp("10.9.9.9:67", "255.255.255.255:68"), DROP),
        ("DHCPv6 from another address", udp("[2001:db8::1]:546", "[ff02::1:2]:547"), PASS),
        ("the ports of DHCP over TCP", tcp("10.9.9.9:68", "10.0.0.20:67", SYN), DROP),
    ] {
        let mut datapath = checked(Mode::Enforce);
        assert_eq!(datapath.pod_sends(&frame), verdict, "{name}");
        let expected = if verdict == DROP { "drop 132 denied new" } else { "to-stack new" };
        assert_eq!(told(&mut datapath), [expected], "{name}");
        assert_eq!(datapath.connections().len(), usize::from(verdict == PASS), "{name}");
    }
}

#[test]
fn a_foreign_source_is_told_but_passes_unless_enforced() {
    let frame = udp("203.0.113.1:1000", "10.0.0.30:80");
    for (mode, flags, events) in [
        (Mode::Audit, POLICY_CHECK_SOURCE | POLICY_ENFORCED, vec!["drop 132 audited new", "to-stack new"]),
        (Mode::Enforce, POLICY_CHECK_SOURCE, vec!["drop 132 audited new", "to-stack new"]),
        (Mode::Enforce, POLICY_ENFORCED, vec!["to-stack new"]),
        (Mode::Off, POLICY_CHECK_SOURCE | POLICY_ENFORCED, vec!["to-stack new"]),
    ] {
        let mut datapath = checked(mode);
        datapath.policy(SET, 2, flags);
        assert_eq!(
            (datapath.pod_sends(&frame), datapath.pod_sends(&frame)),
            (PASS, PASS),
            "{mode:?} {flags}"
        );
        assert_eq!(told(&mut datapath), events, "{mode:?} {flags}");
    }
}

#[test]
fn packets_to_the_pod_may_come_from_anywhere() {
    let mut datapath = checked(Mode::Enforce);
    assert_eq!(datapath.pod_gets(&udp("203.0.113.1:1000", "10.0.0.10:80")), PASS);
}

#[test]
fn a_reply_from_an_address_that_is_not_the_pods_does_not_ride_on_what_it_answers() {
    let mut datapath = checked(Mode::Enforce);
    assert_eq!(datapath.pod_gets(&udp("10.0.0.20:1000", "10.0.0.255:80")), PASS);
    assert_eq!(datapath.pod_sends(&udp("10.0.0.255:80", "10.0.0.20:1000")), DROP);
}

#[test]
fn an_allowed_peer_does_not_excuse_a_foreign_source() {
    let mut datapath = checked(Mode::Enforce);
    let isolation = POLICY_ISOLATED_INGRESS | POLICY_ISOLATED_EGRESS;
    datapath.policy(SET, 2, POLICY_CHECK_SOURCE | POLICY_ENFORCED | isolation);
    datapath.rule(peer_rule(FRIEND, Direction::Egress), 1);
    assert_eq!(datapath.pod_sends(&udp("203.0.113.1:1000", "10.0.0.20:80")), DROP);
    assert_eq!(datapath.pod_sends(&udp("10.0.0.10:1000", "10.0.0.20:80")), PASS);
}

#[test]
fn a_foreign_source_that_a_stale_heartbeat_let_through_is_dropped_when_the_agent_is_back() {
    let (there, back) = (udp("203.0.113.1:1000", "10.0.0.30:80"), udp("10.0.0.30:80", "203.0.113.1:1000"));
    let (sends, gets) = ((true, &there), (false, &back));
    for (name, before, meanwhile, after) in [
        ("a packet", vec![], vec![sends], vec![]),
        ("several", vec![], vec![sends, sends, sends], vec![]),
        ("a reply meanwhile", vec![], vec![sends, gets], vec![]),
        ("a reply first", vec![], vec![sends], vec![gets]),
        ("an answer to what was let in before", vec![gets], vec![sends], vec![]),
        ("an answer, with more to it", vec![gets], vec![sends, gets, sends], vec![gets, gets]),
    ] {
        let mut datapath = checked(Mode::Enforce);
        let pass = |datapath: &mut Datapath, steps: Vec<(bool, &Vec<u8>)>| {
            for (sends, frame) in steps {
                let verdict = if sends { datapath.pod_sends(frame) } else { datapath.pod_gets(frame) };
                assert_eq!(verdict, PASS, "{name}");
            }
        };
        pass(&mut datapath, before);
        datapath.settings_in_epoch(Mode::Enforce, 1, 1);
        pass(&mut datapath, meanwhile);
        datapath.settings_in_epoch(Mode::Enforce, 1, 0);
        pass(&mut datapath, after);
        assert_eq!((datapath.pod_sends(&there), datapath.pod_sends(&there)), (DROP, DROP), "{name}");
    }
}

#[test]
fn a_packet_to_the_pod_does_not_renew_what_a_foreign_source_began() {
    let mut datapath = checked(Mode::Enforce);
    datapath.policy(SET, 2, POLICY_ENFORCED);
    let (there, back) = (udp("203.0.113.1:1000", "10.0.0.30:80"), udp("10.0.0.30:80", "203.0.113.1:1000"));
    assert_eq!(datapath.pod_sends(&there), PASS);
    datapath.policy(SET, 3, POLICY_CHECK_SOURCE | POLICY_ENFORCED);
    assert_eq!((datapath.pod_gets(&back), datapath.pod_sends(&there)), (PASS, DROP));
}

#[test]
fn an_open_connection_is_checked_again_with_the_policy() {
    let mut datapath = checked(Mode::Enforce);
    datapath.policy(SET, 2, POLICY_ENFORCED);
    let frame = udp("203.0.113.1:1000", "10.0.0.30:80");
    assert_eq!(datapath.pod_sends(&frame), PASS);
    datapath.policy(SET, 3, POLICY_CHECK_SOURCE | POLICY_ENFORCED);
    assert_eq!((datapath.pod_sends(&frame), datapath.pod_sends(&frame)), (DROP, DROP));
}
