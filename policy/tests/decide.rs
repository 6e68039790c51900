//! What the oracle says, one sentence of `NetworkPolicy` at a time.

use std::net::IpAddr;

use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::labels::Labels;
use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::{NamedPort, NamedPorts};
use palomar_model::verdict::Direction;
use palomar_policy::draft::NetworkPolicyDraft;
use palomar_policy::{Decision, Exemption, PeerKind, PeerView, Subject, Traffic, decide};
use serde_json::{Value, json};

/// A pod's namespace and label `app`; the namespace has the label `team` with the same value as its name.
struct Pod {
    namespace: &'static str,
    namespace_labels: Labels,
    labels: Labels,
    ports: NamedPorts,
}

impl Pod {
    fn new(namespace: &'static str, app: &str) -> Self {
        Self {
            namespace,
            namespace_labels: Labels::from([("team".into(), namespace.into())]),
            labels: Labels::from([("app".into(), app.into())]),
            ports: NamedPorts::default(),
        }
    }

    /// With these names and numbers of ports of TCP.
    fn with_ports(mut self, ports: &[(&str, u16)]) -> Self {
        let named = |(name, number): &(&str, u16)| NamedPort {
            name: (*name).to_owned(),
            protocol: Protocol::Tcp,
            number: *number,
        };
        self.ports = ports.iter().map(named).collect();
        self
    }

    fn subject(&self) -> Subject<'_> {
        let Self { namespace, namespace_labels, labels: pod_labels, ports: named_ports } = self;
        Subject { namespace, namespace_labels, pod_labels, named_ports }
    }
}

fn policy(name: &str, spec: Value) -> NetworkPolicy {
    let spec = Some(serde_json::from_value(spec).expect("the shape of a spec"));
    NetworkPolicyDraft { name: ObjectName::new("shop", name), spec }.validate().expect("a valid policy")
}

fn tcp(direction: Direction, port: u16) -> Traffic {
    Traffic { direction, protocol: Protocol::Tcp, port: Some(port) }
}

fn from<'a>(kind: PeerKind<'a>, address: &str) -> PeerView<'a> {
    PeerView { kind, address: address.parse::<IpAddr>().expect("an address") }
}

#[test]
fn isolation_is_by_direction_and_by_selection() {
    let web = Pod::new("shop", "web");
    let policies = [policy("deny", json!({"podSelector": {"matchLabels": {"app": "web"}}}))];
    let world = from(PeerKind::Other, "192.0.2.1");
    let denied = Decision::Denied(vec![PolicyRef::network_policy(ObjectName::new("shop", "deny"))]);
    let other_app = Pod::new("shop", "db");
    let other_namespace = Pod::new("bank", "web");
    let table = [
        ("ingress of a selected pod", &web, Direction::Ingress, denied),
        ("egress of a selected pod", &web, Direction::Egress, Decision::NotIsolated),
        ("a pod with other labels", &other_app, Direction::Ingress, Decision::NotIsolated),
        ("a pod of another namespace", &other_namespace, Direction::Ingress, Decision::NotIsolated),
    ];
    for (name, pod, direction, expected) in table {
        assert_eq!(decide(&policies, pod.subject(), world, tcp(direction, 80)), expected, "{name}");
    }
}

#[test]
fn every_rule_of_every_policy_that_allows_is_told_and_rules_never_take_away() {
    let web = Pod::new("shop", "web");
    let policies = [
        policy(
            "z",
            json!({"podSelector": {}, "ingress": [{"ports": [{"port": 443}]}, {}, {"ports": [{"port": 80}]}]}),
        ),
        policy("a", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]})),
        policy("none", json!({"podSelector": {}})),
    ];
    let rule = |name: &str, index| RuleRef {
        policy: ObjectName::new("shop", name),
        direction: Direction::Ingress,
        index,
    };
    let decision =
        decide(&policies, web.subject(), from(PeerKind::Other, "192.0.2.1"), tcp(Direction::Ingress, 80));
    assert_eq!(decision, Decision::Allowed(vec![rule("a", 0), rule("z", 1), rule("z", 2)]));
}

/// Whether an ingress rule with this one peer allows that peer.
fn reaches(peer: &Value, view: PeerView<'_>) -> bool {
    let policies = [policy("p", json!({"podSelector": {}, "ingress": [{"from": [peer]}]}))];
    decide(&policies, Pod::new("shop", "web").subject(), view, tcp(Direction::Ingress, 80)).passes()
}

#[test]
fn a_peer_is_all_of_its_selectors_and_a_rule_is_any_of_its_peers() {
    let app = |app: &str| json!({"matchLabels": {"app": app}});
    let team = |team: &str| json!({"matchLabels": {"team": team}});
    let table = [
        ("a pod selector looks in the own namespace", json!({"podSelector": app("db")}), "shop", true),
        ("a pod selector looks nowhere else", json!({"podSelector": app("db")}), "bank", false),
        ("an empty pod selector is the own namespace", json!({"podSelector": {}}), "bank", false),
        (
            "a namespace selector takes all of its pods",
            json!({"namespaceSelector": team("bank")}),
            "bank",
            true,
        ),
        (
            "a namespace selector does not mean the own",
            json!({"namespaceSelector": team("bank")}),
            "shop",
            false,
        ),
        ("an empty namespace selector is everywhere", json!({"namespaceSelector": {}}), "bank", true),
        (
            "both must match",
            json!({"namespaceSelector": team("bank"), "podSelector": app("db")}),
            "bank",
            true,
        ),
        (
            "both must match: the pod does not",
            json!({"namespaceSelector": team("bank"), "podSelector": app("x")}),
            "bank",
            false,
        ),
        (
            "both must match: the namespace does not",
            json!({"namespaceSelector": team("bank"), "podSelector": app("db")}),
            "shop",
            false,
        ),
        (
            "a missing label satisfies DoesNotExist",
            json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}),
            "shop",
            true,
        ),
        (
            "a missing label does not satisfy Exists",
            json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}),
            "shop",
            false,
        ),
        (
            "a missing label satisfies NotIn",
            json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}}),
            "shop",
            true,
        ),
        (
            "a missing label does not satisfy In",
            json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "In", "values": ["y"]}]}}),
            "shop",
            false,
        ),
    ];
    for (name, peer, namespace, expected) in table {
        let pod = Pod::new(namespace, "db");
        assert_eq!(reaches(&peer, from(PeerKind::Pod(pod.subject()), "10.0.0.1")), expected, "{name}");
    }
    let either = json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": app("x")}, {"podSelector": app("db")}]}]});
    let db = Pod::new("shop", "db");
    let view = from(PeerKind::Pod(db.subject()), "10.0.0.1");
    let web = Pod::new("shop", "web");
    assert!(decide(&[policy("p", either)], web.subject(), view, tcp(Direction::Ingress, 80)).passes());
}

#[test]
fn selectors_reach_pods_alone_and_blocks_reach_every_address() {
    let everyone = || json!({"namespaceSelector": {}});
    let block = || json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}});
    let pod = Pod::new("shop", "db");
    let pod = PeerKind::Pod(pod.subject());
    let table = [
        ("a selector and a pod", everyone(), pod, "10.0.0.1", true),
        (
            "a selector and the world, a host-network pod or a node",
            everyone(),
            PeerKind::Other,
            "10.0.0.1",
            false,
        ),
        ("a block and the world", block(), PeerKind::Other, "10.0.0.1", true),
        ("a block and a pod", block(), pod, "10.0.0.1", true),
        ("a block's except and a pod", block(), pod, "10.1.0.1", false),
        ("a block's except and the world", block(), PeerKind::Other, "10.1.0.1", false),
        ("a block and the other family", json!({"ipBlock": {"cidr": "::/0"}}), pod, "10.0.0.1", false),
        (
            "a block of IPv6",
            json!({"ipBlock": {"cidr": "2001:db8::/32"}}),
            PeerKind::Other,
            "2001:db8::1",
            true,
        ),
    ];
    for (name, peer, kind, address, expected) in table {
        assert_eq!(reaches(&peer, from(kind, address)), expected, "{name}");
    }
}

#[test]
fn ports_are_of_a_protocol_and_what_has_none_needs_a_rule_without() {
    let range = || json!([{"protocol": "UDP", "port": 100, "endPort": 200}]);
    let table = [
        ("below the range", range(), Protocol::Udp, Some(99), false),
        ("the first of the range", range(), Protocol::Udp, Some(100), true),
        ("the last of the range", range(), Protocol::Udp, Some(200), true),
        ("beyond the range", range(), Protocol::Udp, Some(201), false),
        ("the port of another protocol", range(), Protocol::Tcp, Some(100), false),
        ("a fragment whose port is hidden", range(), Protocol::Udp, None, false),
        ("a fragment and a whole protocol", json!([{"protocol": "UDP"}]), Protocol::Udp, None, true),
        ("SCTP and its protocol", json!([{"protocol": "SCTP"}]), Protocol::Sctp, Some(7), true),
        ("ICMP and a protocol", json!([{"protocol": "TCP"}]), Protocol::Icmp, None, false),
        ("ICMP and no ports", json!([]), Protocol::Icmp, None, true),
        ("any protocol and no ports", json!([]), Protocol::Other(47), None, true),
    ];
    let web = Pod::new("shop", "web");
    for (name, ports, protocol, port, expected) in table {
        let policies = [policy("p", json!({"podSelector": {}, "ingress": [{"ports": ports}]}))];
        let traffic = Traffic { direction: Direction::Ingress, protocol, port };
        let decision = decide(&policies, web.subject(), from(PeerKind::Other, "192.0.2.1"), traffic);
        assert_eq!(decision.passes(), expected, "{name}");
    }
}

#[test]
fn a_named_port_is_what_the_pod_that_is_connected_to_calls_so() {
    let web = Pod::new("shop", "web").with_ports(&[("http", 80), ("http", 8080)]);
    let db = Pod::new("shop", "db").with_ports(&[("http", 81)]);
    let mute = Pod::new("shop", "mute");
    let (to_web, to_db) = (PeerKind::Pod(web.subject()), PeerKind::Pod(db.subject()));
    let ingress = || json!([{"ports": [{"port": "http"}]}]);
    let block = || json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "http"}]}]);
    let (inward, out) = (Direction::Ingress, Direction::Egress);
    let table = [
        ("in: one of the endpoint's ports of that name", &web, inward, PeerKind::Other, ingress(), 80, true),
        ("in: the other one", &web, inward, PeerKind::Other, ingress(), 8080, true),
        ("in: another port", &web, inward, PeerKind::Other, ingress(), 81, false),
        ("in: what the peer calls so does not count", &web, inward, to_db, ingress(), 81, false),
        ("in: an endpoint that has no such port", &mute, inward, PeerKind::Other, ingress(), 80, false),
        ("out: the peer's port of that name", &web, out, to_db, ingress(), 81, true),
        ("out: what the endpoint calls so does not count", &web, out, to_db, ingress(), 80, false),
        ("out: the world has no names", &web, out, PeerKind::Other, ingress(), 80, false),
        ("out: a pod inside the ipBlock", &db, out, to_web, block(), 8080, true),
        ("out: another port of that pod", &db, out, to_web, block(), 81, false),
        ("out: the world inside the ipBlock", &db, out, PeerKind::Other, block(), 80, false),
        ("out: the node has no names", &db, out, PeerKind::OwnNode, ingress(), 80, false),
    ];
    for (name, pod, direction, peer, rules, port, expected) in table {
        let spec = match direction {
            Direction::Ingress => json!({"podSelector": {}, "ingress": rules}),
            Direction::Egress => json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}),
        };
        let policies = [policy("p", spec)];
        let decision = decide(&policies, pod.subject(), from(peer, "10.0.0.1"), tcp(direction, port));
        assert_eq!(decision.passes(), expected, "{name}");
    }
}

#[test]
fn a_named_port_is_of_its_protocol() {
    let dns = |protocol| NamedPort { name: "dns".into(), protocol, number: 53 };
    let mut pod = Pod::new("shop", "dns");
    pod.ports = NamedPorts::new(vec![dns(Protocol::Udp)]);
    let policies = [policy(
        "p",
        json!({"podSelector": {}, "ingress": [{"ports": [
            {"port": "dns"}, {"port": "dns", "protocol": "UDP"},
        ]}]}),
    )];
    for (protocol, expected) in [(Protocol::Udp, true), (Protocol::Tcp, false), (Protocol::Sctp, false)] {
        let traffic = Traffic { direction: Direction::Ingress, protocol, port: Some(53) };
        let decision = decide(&policies, pod.subject(), from(PeerKind::Other, "10.0.0.1"), traffic);
        assert_eq!(decision.passes(), expected, "{protocol}");
    }
}

#[test]
fn a_pod_reaches_itself_and_its_node_reaches_it_whatever_the_policies() {
    let web = Pod::new("shop", "web");
    let both = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    let policies = [policy("deny", both)];
    let denied = || Decision::Denied(vec![PolicyRef::network_policy(ObjectName::new("shop", "deny"))]);
    let itself = || Decision::Exempt(Exemption::Itself);
    let table = [
        ("out to itself", PeerKind::Itself, Direction::Egress, itself()),
        ("in from itself", PeerKind::Itself, Direction::Ingress, itself()),
        (
            "in from its node",
            PeerKind::OwnNode,
            Direction::Ingress,
            Decision::Exempt(Exemption::NodeToItsPod),
        ),
        ("out to its node", PeerKind::OwnNode, Direction::Egress, denied()),
        ("in from another node", PeerKind::Other, Direction::Ingress, denied()),
    ];
    for (name, kind, direction, expected) in table {
        let decision = decide(&policies, web.subject(), from(kind, "10.0.0.9"), tcp(direction, 80));
        assert_eq!(decision, expected, "{name}");
    }
}
