//! What policy does to a new connection.

use crate::craft::{ACK, SCTP, SYN, TCP, UDP, address, icmp, tcp, transport, udp};
use crate::datapath::{DROP, IDENTITY, IFINDEX, PASS, Via};
use crate::told::{line, told};
use crate::world::{CLASS, FRIEND, SET, STRANGER, isolated, peer_rule, port_rule, protocol_rule, world};
use palomar_bpf::abi::{
    Address, CONNECTION_AUDITED, Counter, Direction, EVENT_SOURCE_MASKED, IDENTITY_ANY, IDENTITY_HOST,
    IDENTITY_WORLD, MatchType, Mode, PEER_CLASS, POLICY_ENFORCED, POLICY_ISOLATED_EGRESS,
    POLICY_ISOLATED_INGRESS, RuleKey,
};

const POD: &str = "10.0.0.10:1000";

/// Enforced, with one rule: (verdict, what is told).
fn judged(rule: RuleKey, direction: Direction, frame: &[u8]) -> (i32, Vec<String>) {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(rule, 1);
    let verdict = datapath.run(direction, frame, Via { ingress_ifindex: 9, ..Via::default() });
    (verdict, told(&mut datapath))
}

#[test]
fn a_rule_allows_what_it_names_and_says_how() {
    use Direction::{Egress, Ingress};
    let out = |port: u16| tcp(POD, &format!("10.0.0.20:{port}"), SYN);
    let class = PEER_CLASS | CLASS;
    for (name, rule, direction, frame, matched) in [
        ("peer and port", port_rule(FRIEND, Egress, TCP, 80), Egress, out(80), Some(MatchType::L3L4)),
        ("another port", port_rule(FRIEND, Egress, TCP, 81), Egress, out(80), None),
        ("another protocol", port_rule(FRIEND, Egress, UDP, 80), Egress, out(80), None),
        ("another peer", port_rule(STRANGER, Egress, TCP, 80), Egress, out(80), None),
        ("another direction", port_rule(FRIEND, Ingress, TCP, 80), Egress, out(80), None),
        ("another set", RuleKey { set: SET + 1, ..peer_rule(FRIEND, Egress) }, Egress, out(80), None),
        ("peer and protocol", protocol_rule(FRIEND, Egress, TCP), Egress, out(80), Some(MatchType::L3Proto)),
        ("peer", peer_rule(FRIEND, Egress), Egress, out(80), Some(MatchType::L3Only)),
        (
            "any peer, port",
            port_rule(IDENTITY_ANY, Egress, TCP, 80),
            Egress,
            out(80),
            Some(MatchType::L4Only),
        ),
        (
            "any peer, protocol",
            protocol_rule(IDENTITY_ANY, Egress, TCP),
            Egress,
            out(80),
            Some(MatchType::ProtoOnly),
        ),
        ("anything", peer_rule(IDENTITY_ANY, Egress), Egress, out(80), Some(MatchType::All)),
        (
            "a class and port",
            port_rule(class, Egress, TCP, 80),
            Egress,
            tcp(POD, "192.0.2.7:80", SYN),
            Some(MatchType::L3L4),
        ),
        (
            "an address outside the class",
            peer_rule(class, Egress),
            Egress,
            tcp(POD, "192.0.3.7:80", SYN),
            None,
        ),
        (
            "sctp by its port",
            port_rule(FRIEND, Egress, SCTP, 80),
            Egress,
            transport(POD, "10.0.0.20:80", SCTP, 0),
            Some(MatchType::L3L4),
        ),
        (
            "ingress by the pod's port",
            port_rule(FRIEND, Ingress, UDP, 1000),
            Ingress,
            udp("10.0.0.20:53", POD),
            Some(MatchType::L3L4),
        ),
        (
            "ingress by the peer's port",
            port_rule(FRIEND, Ingress, UDP, 53),
            Ingress,
            udp("10.0.0.20:53", POD),
            None,
        ),
        (
            "over IPv6",
            port_rule(FRIEND, Egress, TCP, 80),
            Egress,
            tcp("[fd00::10]:9", "[fd00::20]:80", SYN),
            Some(MatchType::L3L4),
        ),
        (
            "ping by a rule without ports",
            peer_rule(FRIEND, Egress),
            Egress,
            icmp("10.0.0.10", "10.0.0.20", 8, 7, &[]),
            Some(MatchType::L3Only),
        ),
        (
            "ping by a rule with all TCP ports",
            protocol_rule(FRIEND, Egress, TCP),
            Egress,
            icmp("10.0.0.10", "10.0.0.20", 8, 7, &[]),
            None,
        ),
    ] {
        let trace = if direction == Ingress { "to-endpoint new" } else { "to-stack new" };
        let expected = match matched {
            Some(kind) => (PASS, vec![format!("policy {} allowed new", kind.number()), trace.to_owned()]),
            None => (DROP, vec!["policy 0 denied new".to_owned(), "drop 133 denied new".to_owned()]),
        };
        assert_eq!(judged(rule, direction, &frame), expected, "{name}");
    }
}

#[test]
fn a_range_of_ports_matches_its_ends_and_no_further() {
    // 1024..=1535 is one prefix: 7 bits of the port
    let range = RuleKey { prefix_len: 87, ..port_rule(FRIEND, Direction::Egress, TCP, 1024) };
    for (port, verdict) in [(1023, DROP), (1024, PASS), (1535, PASS), (1536, DROP)] {
        let frame = tcp(POD, &format!("10.0.0.20:{port}"), SYN);
        assert_eq!(judged(range, Direction::Egress, &frame).0, verdict, "port {port}");
    }
}

#[test]
fn the_most_specific_key_gives_rule_set_and_match_type() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(peer_rule(FRIEND, Direction::Egress), 10);
    datapath.rule(port_rule(FRIEND, Direction::Egress, TCP, 80), 11);
    datapath.rule(port_rule(IDENTITY_ANY, Direction::Egress, TCP, 80), 12);
    datapath.rule(peer_rule(IDENTITY_ANY, Direction::Egress), 13);
    datapath.rule(peer_rule(PEER_CLASS | CLASS, Direction::Egress), 14);
    datapath
        .address(address("192.0.2.20"), Address { identity: FRIEND, class: CLASS, endpoint: 0, flags: 0 });
    for (peer, expected) in [
        ("10.0.0.20:80", (MatchType::L3L4, 11, 0)),
        ("10.0.0.20:81", (MatchType::L3Only, 10, 0)),
        ("10.0.0.30:80", (MatchType::L4Only, 12, 0)),
        ("10.0.0.30:81", (MatchType::All, 13, 0)),
        ("192.0.2.20:80", (MatchType::L3L4, 11, 14)),
        ("192.0.2.9:80", (MatchType::L4Only, 12, 14)),
        ("192.0.2.9:81", (MatchType::L3Only, 13, 14)),
    ] {
        assert_eq!(datapath.pod_sends(&tcp(POD, peer, SYN)), PASS, "{peer}");
        for event in datapath.events() {
            let (kind, rule_set, class_rule_set) = expected;
            assert_eq!((event.rule_set, event.class_rule_set), (rule_set, class_rule_set), "{peer}");
            assert!(event.kind != 5 || event.detail == kind.number(), "{peer}: {event:?}");
        }
    }
}

#[test]
fn a_direction_that_is_not_isolated_is_open_and_tells_no_verdict() {
    for (flag, sends, gets) in [(POLICY_ISOLATED_EGRESS, DROP, PASS), (POLICY_ISOLATED_INGRESS, PASS, DROP)] {
        let mut datapath = isolated(Mode::Enforce);
        datapath.policy(SET, 2, flag | POLICY_ENFORCED);
        assert_eq!(datapath.pod_sends(&udp(POD, "10.0.0.20:53")), sends);
        assert_eq!(datapath.pod_gets(&udp("10.0.0.30:53", POD)), gets);
        let events = told(&mut datapath);
        let open = if sends == PASS { "to-stack new" } else { "to-endpoint new" };
        assert!(events.contains(&open.to_owned()) && events.len() == 3, "{events:?}");
    }
}

#[test]
fn each_mode_does_what_it_says() {
    let frame = tcp(POD, "10.0.0.20:80", SYN);
    let (enforced, spared) = (POLICY_ENFORCED, 0);
    for (mode, flag, verdict, events) in [
        (Mode::Off, enforced, PASS, vec!["to-stack new"]),
        (Mode::Audit, enforced, PASS, vec!["policy 0 audited new", "to-stack new"]),
        (Mode::Enforce, enforced, DROP, vec!["policy 0 denied new", "drop 133 denied new"]),
        (Mode::Enforce, spared, PASS, vec!["policy 0 audited new", "to-stack new"]),
    ] {
        let mut datapath = isolated(mode);
        datapath.policy(SET, 2, POLICY_ISOLATED_EGRESS | flag);
        assert_eq!(datapath.pod_sends(&frame), verdict, "{mode:?}");
        assert_eq!(told(&mut datapath), events, "{mode:?}");
        let flags: Vec<u8> = datapath.connections().iter().map(|(_, connection)| connection.flags).collect();
        let expected = match (verdict, mode) {
            (DROP, _) => vec![],
            (_, Mode::Off) => vec![0],
            _ => vec![CONNECTION_AUDITED],
        };
        assert_eq!(flags, expected, "{mode:?}");
        assert_eq!(datapath.count(Counter::Dropped), u64::from(verdict == DROP), "{mode:?}");
        assert_eq!(datapath.count(Counter::Forwarded), u64::from(verdict == PASS), "{mode:?}");
    }
}

#[test]
fn the_node_reaches_its_own_pods_whatever_policy_says() {
    let mut datapath = isolated(Mode::Enforce);
    assert_eq!(datapath.node_sends(&tcp("10.0.0.1:5000", POD, SYN)), PASS);
    assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.1:5000", SYN | ACK)), PASS);
    datapath.next_revision();
    assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.1:5000", ACK)), PASS, "judged again by a reply");
    let events = datapath.events();
    assert!(events.iter().all(|event| event.kind == 4 && event.flags == 0), "{events:?}");
    assert_eq!((events[0].source_identity, events[1].destination_identity), (IDENTITY_HOST, IDENTITY_HOST));
}

#[test]
fn a_pod_does_not_reach_its_node_for_that() {
    assert_eq!(isolated(Mode::Enforce).pod_sends(&tcp(POD, "10.0.0.1:22", SYN)), DROP);
}

#[test]
fn a_node_address_on_a_forwarded_packet_is_masked_and_judged_by_its_class_alone() {
    let syn = tcp("10.0.0.1:5000", POD, SYN);
    for (name, peer, verdict) in [
        ("no rule", STRANGER, DROP),
        ("a rule for the node", IDENTITY_HOST, DROP),
        ("a rule for the class", PEER_CLASS | CLASS, PASS),
        ("a rule for anybody", IDENTITY_ANY, PASS),
    ] {
        let mut datapath = isolated(Mode::Enforce);
        let node = Address { identity: IDENTITY_HOST, class: CLASS, endpoint: 0, flags: 1 };
        datapath.address(address("10.0.0.1"), node);
        datapath.rule(peer_rule(peer, Direction::Ingress), 1);
        assert_eq!(datapath.pod_gets(&syn), verdict, "{name}");
        let events = datapath.events();
        assert!(!events.is_empty(), "{name}");
        for event in events {
            let shown = (event.source_identity, event.class, event.flags);
            assert_eq!(shown, (IDENTITY_WORLD, CLASS, EVENT_SOURCE_MASKED), "{name}");
        }
        if verdict == PASS {
            assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.1:5000", SYN | ACK)), PASS, "{name}");
            let [reply] = datapath.events()[..] else { panic!("one event") };
            assert_eq!((reply.destination_identity, reply.flags), (IDENTITY_WORLD, 0), "{name}");
        }
    }
}

#[test]
fn a_pod_reaches_itself_whatever_policy_says() {
    let mut datapath = isolated(Mode::Enforce);
    let to_itself = tcp(POD, "10.0.0.10:80", SYN);
    assert_eq!(datapath.pod_sends(&to_itself), PASS);
    let returned = Via { ingress_ifindex: IFINDEX, ..Via::default() };
    assert_eq!(datapath.run(Direction::Ingress, &to_itself, returned), PASS);
    assert_eq!(told(&mut datapath), ["to-endpoint new"]);
    assert_eq!(datapath.node_sends(&tcp("10.0.0.10:1001", "10.0.0.10:80", SYN)), PASS, "made on the node");
}

#[test]
fn the_pods_own_address_on_a_packet_from_elsewhere_is_masked_and_judged_as_the_world() {
    for (name, rule, verdict) in [
        ("no rule", peer_rule(STRANGER, Direction::Ingress), DROP),
        ("a rule for the pod's identity", peer_rule(IDENTITY, Direction::Ingress), DROP),
        ("a rule for the world", peer_rule(IDENTITY_WORLD, Direction::Ingress), PASS),
        ("a rule for anybody", port_rule(IDENTITY_ANY, Direction::Ingress, TCP, 80), PASS),
    ] {
        for forged in [tcp(POD, "10.0.0.10:80", SYN), tcp("[fd00::10]:1000", "[fd00::10]:80", SYN)] {
            let mut datapath = isolated(Mode::Enforce);
            datapath.rule(rule, 1);
            assert_eq!(datapath.pod_gets(&forged), verdict, "{name}");
            let events = datapath.events();
            assert_eq!(events.len(), 2, "{name}");
            for event in events {
                assert_eq!(
                    (event.source_identity, event.flags),
                    (IDENTITY_WORLD, EVENT_SOURCE_MASKED),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_packet_to_another_pod_here_is_told_at_its_delivery_and_the_first_at_its_departure() {
    let mut datapath = world(crate::datapath::Load::default());
    assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.40:80", SYN)), PASS);
    assert_eq!(told(&mut datapath), ["from-endpoint new"]);
    assert_eq!(datapath.pod_gets(&tcp("10.0.0.40:80", POD, SYN | ACK)), PASS);
    assert_eq!(told(&mut datapath), ["to-endpoint reply"]);
    assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.40:80", ACK)), PASS);
    assert_eq!(told(&mut datapath), Vec::<String>::new());
}

#[test]
fn a_stale_heartbeat_lets_pass_until_the_agent_is_back() {
    let mut datapath = isolated(Mode::Enforce);
    let hour = 3_600_000_000_000;
    let (syn, data) = (tcp(POD, "10.0.0.20:80", SYN), tcp(POD, "10.0.0.20:80", ACK));
    datapath.settings(Mode::Enforce, 1, 1);
    assert_eq!((datapath.pod_sends(&syn), datapath.pod_sends(&data)), (PASS, PASS));
    let events = datapath.events();
    let lines: Vec<String> = events.iter().map(line).collect();
    assert_eq!(
        lines,
        ["policy 0 audited new", "to-stack new", "to-stack established"],
        "the verdict is told once"
    );
    assert!(events.iter().all(|event| event.policy.set() == SET), "each with the policy in force");
    assert_eq!(datapath.count(Counter::StaleAudit), 2);
    datapath.settings_in_epoch(Mode::Enforce, u64::MAX / 2, hour);
    assert_eq!(datapath.pod_sends(&data), DROP, "the heartbeat is back: no grace for what passed meanwhile");
    datapath.settings_in_epoch(Mode::Enforce, 1, 0);
    assert_eq!(datapath.pod_sends(&data), DROP, "0 means keep enforcing");
    assert_eq!(datapath.count(Counter::StaleAudit), 2);
}
