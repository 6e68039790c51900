//! Service addresses: judged by the number of their backends at the source, and by the backend where that shows.

use crate::craft::{ACK, SYN, TCP, address, icmp, tcp, udp};
use crate::datapath::{DROP, Datapath, IDENTITY, IFINDEX, Load, PASS};
use crate::told::{line, told};
use crate::world::{FRIEND, SET, isolated, peer_rule, port_rule, world};
use palomar_bpf::abi::{
    ADDRESS_SERVICE, Address, DIRECTION_SERVICE, Direction, IDENTITY_ANY, IDENTITY_HOST, IDENTITY_WORLD,
    Mode, NodePort, POLICY_ENFORCED, POLICY_ISOLATED_EGRESS, RULES_LATER, RuleKey,
};

const POD: &str = "10.0.0.10:1000";
const SERVICE: &str = "10.96.0.1:443";
/// What stands behind it; an identity has the same number.
const BACKENDS: u32 = FRIEND;

fn to_service() -> RuleKey {
    RuleKey { direction: DIRECTION_SERVICE, ..port_rule(BACKENDS, Direction::Egress, TCP, 443) }
}

fn with_service(mode: Mode) -> Datapath {
    let mut datapath = isolated(mode);
    let service = Address { identity: IDENTITY_WORLD, class: BACKENDS, endpoint: 0, flags: ADDRESS_SERVICE };
    datapath.address(address("10.96.0.1"), service);
    datapath
}

#[test]
fn a_service_is_asked_for_by_its_backends_and_its_port_and_by_nothing_else() {
    let anyone = peer_rule(IDENTITY_ANY, Direction::Egress);
    let anyone_there = port_rule(IDENTITY_ANY, Direction::Egress, TCP, 443);
    let same_number = peer_rule(BACKENDS, Direction::Egress);
    let denied: &[&str] = &["policy 0 denied new", "drop 133 denied new"];
    for (what, rules, frame, verdict, expected) in [
        (
            "allowed",
            vec![(to_service(), 7)],
            tcp(POD, SERVICE, SYN),
            PASS,
            &["policy 2 allowed new", "to-stack new"][..],
        ),
        (
            "to be judged later",
            vec![(to_service(), RULES_LATER)],
            tcp(POD, SERVICE, SYN),
            PASS,
            &["to-stack new"],
        ),
        ("another port", vec![(to_service(), 7)], tcp(POD, "10.96.0.1:80", SYN), DROP, denied),
        ("another protocol", vec![(to_service(), 7)], udp(POD, SERVICE), DROP, denied),
        (
            "a rule for any peer on the service's port",
            vec![(anyone_there, 7)],
            tcp(POD, SERVICE, SYN),
            DROP,
            denied,
        ),
        (
            "a rule for any peer and every port, and nobody known behind the service",
            vec![(anyone, 7)],
            tcp(POD, SERVICE, SYN),
            PASS,
            &["policy 4 allowed new", "to-stack new"],
        ),
        (
            "a rule for an identity of that number",
            vec![(same_number, 7)],
            tcp(POD, SERVICE, SYN),
            DROP,
            denied,
        ),
        ("a pod of that number", vec![(to_service(), 7)], tcp(POD, "10.0.0.20:443", SYN), DROP, denied),
    ] {
        let mut datapath = with_service(Mode::Enforce);
        for (rule, rule_set) in rules {
            datapath.rule(rule, rule_set);
        }
        assert_eq!(datapath.pod_sends(&frame), verdict, "{what}");
        let events = datapath.events();
        assert!(events.iter().all(|event| event.class == 0), "{what}: backends are no class");
        assert_eq!(events.iter().map(line).collect::<Vec<_>>(), expected, "{what}");
    }
}

#[test]
fn a_node_port_of_this_node_is_asked_for_by_its_backends_and_the_nodes_other_ports_as_the_node() {
    const NODE: &str = "10.0.0.1:30443";
    let to_node_port = || RuleKey { port: 30_443_u16.to_be(), ..to_service() };
    let node = peer_rule(IDENTITY_HOST, Direction::Egress);
    let anyone = peer_rule(IDENTITY_ANY, Direction::Egress);
    let denied: &[&str] = &["policy 0 denied new", "drop 133 denied new"];
    let allowed: &[&str] = &["policy 2 allowed new", "to-stack new"];
    let by_node: &[&str] = &["policy 1 allowed new", "to-stack new"];
    for (what, rules, frame, verdict, expected) in [
        ("allowed", vec![(to_node_port(), 7)], tcp(POD, NODE, SYN), PASS, allowed),
        (
            "to be judged later",
            vec![(to_node_port(), RULES_LATER)],
            tcp(POD, NODE, SYN),
            PASS,
            &["to-stack new"],
        ),
        ("no backend allowed, and a rule for the node", vec![(node, 7)], tcp(POD, NODE, SYN), DROP, denied),
        (
            "a rule for any peer and every port",
            vec![(anyone, 7)],
            tcp(POD, NODE, SYN),
            PASS,
            &["policy 4 allowed new", "to-stack new"],
        ),
        ("another port", vec![(to_node_port(), 7)], tcp(POD, "10.0.0.1:30444", SYN), DROP, denied),
        (
            "another port, and a rule for the node",
            vec![(node, 7)],
            tcp(POD, "10.0.0.1:30444", SYN),
            PASS,
            by_node,
        ),
        ("another protocol, and a rule for the node", vec![(node, 7)], udp(POD, NODE), PASS, by_node),
        (
            "without ports, and a rule for the node",
            vec![(node, 7)],
            icmp("10.0.0.10", "10.0.0.1", 8, 1, &[]),
            PASS,
            by_node,
        ),
        (
            "an address that is not the node's",
            vec![(to_node_port(), 7)],
            tcp(POD, "10.0.0.20:30443", SYN),
            DROP,
            denied,
        ),
    ] {
        let mut datapath = with_service(Mode::Enforce);
        datapath.node_port(NodePort { port: 30_443_u16.to_be(), protocol: TCP, family: 4 }, BACKENDS);
        for (rule, rule_set) in rules {
            datapath.rule(rule, rule_set);
        }
        assert_eq!(datapath.pod_sends(&frame), verdict, "{what}");
        assert_eq!(told(&mut datapath), expected, "{what}");
    }
}

/// What comes from a service belongs to the connection that was opened to it.
#[test]
fn an_answer_of_a_service_is_a_reply() {
    let mut datapath = with_service(Mode::Enforce);
    datapath.rule(to_service(), 7);
    assert_eq!(datapath.pod_sends(&tcp(POD, SERVICE, SYN)), PASS);
    told(&mut datapath);
    assert_eq!(datapath.pod_gets(&tcp(SERVICE, POD, SYN | ACK)), PASS);
    assert_eq!(told(&mut datapath), ["to-endpoint reply"]);
}

const NEIGHBOUR: &str = "10.0.0.40:2000";
const WEB: &str = "10.0.0.10:80";

/// The observed interface stands for both pods here: it is the neighbour's as well, whose egress is isolated.
fn neighbour_isolated(mode: Mode) -> Datapath {
    let mut datapath = world(Load::default());
    datapath
        .address(address("10.0.0.40"), Address { identity: FRIEND, class: 0, endpoint: IFINDEX, flags: 0 });
    datapath.mode(mode);
    datapath.policy(SET, 1, POLICY_ISOLATED_EGRESS | POLICY_ENFORCED);
    datapath
}

#[test]
fn egress_of_a_local_pod_is_judged_at_delivery_unless_it_was_judged_by_that_address_before() {
    let allowing = || peer_rule(IDENTITY, Direction::Egress);
    let syn = tcp(NEIGHBOUR, WEB, SYN);
    let mut datapath = neighbour_isolated(Mode::Enforce);
    assert_eq!(datapath.pod_gets(&syn), DROP, "by way of a service");
    assert_eq!(told(&mut datapath), ["policy 0 denied new", "drop 133 denied new"]);

    let mut datapath = neighbour_isolated(Mode::Enforce);
    datapath.rule(allowing(), 7);
    assert_eq!(datapath.pod_gets(&syn), PASS, "by way of a service to a pod that is allowed");
    assert_eq!(told(&mut datapath), ["to-endpoint new"]);
    datapath.forget_rule(allowing());
    datapath.next_revision();
    assert_eq!(
        datapath.pod_gets(&tcp(NEIGHBOUR, WEB, ACK)),
        DROP,
        "an old connection after the policy changed"
    );

    let mut datapath = neighbour_isolated(Mode::Audit);
    assert_eq!(datapath.pod_gets(&syn), PASS);
    assert_eq!(
        told(&mut datapath),
        ["policy 0 audited new", "to-endpoint new"],
        "by way of a service, audited"
    );

    let mut datapath = neighbour_isolated(Mode::Enforce);
    assert_eq!(datapath.pod_sends(&syn), PASS, "let through at its source");
    told(&mut datapath);
    assert_eq!((datapath.pod_gets(&syn), told(&mut datapath)), (PASS, vec!["to-endpoint new".to_owned()]));

    let mut datapath = neighbour_isolated(Mode::Enforce);
    datapath.address(address("10.0.0.10"), Address { identity: IDENTITY, class: 0, endpoint: 99, flags: 0 });
    assert_eq!(
        datapath.pod_sends(&tcp(NEIGHBOUR, WEB, ACK)),
        PASS,
        "of a connection that may be the other's"
    );
    told(&mut datapath);
    assert_eq!(datapath.pod_gets(&syn), DROP, "what was let through for want of knowledge is no judgement");

    let mut datapath = neighbour_isolated(Mode::Enforce);
    datapath.rule(allowing(), 7);
    assert_eq!(datapath.pod_sends(&syn), PASS, "let through at its source");
    datapath.forget_rule(allowing());
    datapath.next_revision();
    assert_eq!(datapath.pod_gets(&syn), DROP, "nor is one under another policy");
}
