//! What an explanation says, one sentence at a time.

use std::sync::Arc;

use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState, SlicePort};
use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::verdict::Direction;
use palomar_model::world::{Namespace, Node, Pod, Service, ServicePort, Stage, TargetPort, World};
use palomar_policy::draft::NetworkPolicyDraft;
use palomar_policy::explain::{
    Index, Masquerade, Outcome, Prober, Question, Verdict, explain, smallest_change,
};
use serde_json::{Value, json};

/// Two nodes; in `shop` the pods `web` (dual stack, port http 8080), `front`, `db`, `old` (ended), `new` (no address)
/// and `agent` (host network on n1); in `bank` the pod `teller`; the services `web`, `store`, `far` and `bare`.
fn world(policies: &[(&str, Value)]) -> World {
    let mut world = World::default();
    for (name, address) in [("n1", "10.0.0.1"), ("n2", "10.0.0.2")] {
        let addresses = vec![address.parse().expect("an address")];
        world
            .nodes
            .insert(name.into(), Arc::new(Node { name: name.into(), addresses, labels: Labels::new() }));
    }
    for name in ["shop", "bank"] {
        let mut labels = Namespace::default_labels(name);
        labels.insert("team".into(), name.into());
        world.namespaces.insert(name.into(), Arc::new(Namespace { name: name.into(), labels }));
    }
    for (namespace, name, node, addresses) in [
        ("shop", "web", "n1", &["10.1.0.1", "fd00::1"][..]),
        ("shop", "front", "n1", &["10.1.0.2"]),
        ("shop", "db", "n2", &["10.1.0.3"]),
        ("shop", "old", "n1", &[]),
        ("shop", "new", "n1", &[]),
        ("shop", "agent", "n1", &["10.0.0.1"]),
        ("shop", "six", "n1", &["fd00::6"]),
        ("shop", "twin-a", "n1", &["10.1.0.9"]),
        ("shop", "twin-b", "n1", &["10.1.0.9"]),
        ("bank", "teller", "", &["10.1.0.4"]),
    ] {
        let http = NamedPort { name: "http".into(), protocol: Protocol::Tcp, number: 8080 };
        let pod = Pod {
            labels: Labels::from([("app".into(), name.into()), ("pod-template-hash".into(), "1".into())]),
            node: node.into(),
            host_network: name == "agent",
            stage: if name == "old" { Stage::Ended } else { Stage::Alive },
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
            named_ports: [http].into_iter().filter(|_| name == "web").collect(),
            ..Pod::new(ObjectName::new(namespace, name))
        };
        world.pods.insert(pod.name.clone(), Arc::new(pod));
    }
    let port = |port, target| ServicePort {
        name: String::new(),
        protocol: Protocol::Tcp,
        port,
        target,
        node_port: None,
    };
    let app = |app: &str| Some(Labels::from([("app".to_owned(), app.to_owned())]));
    for (name, address, selector) in [
        ("web", Some("10.96.0.1"), app("web")),
        ("store", Some("10.96.0.2"), Some(Labels::from([("pod-template-hash".to_owned(), "1".to_owned())]))),
        ("far", Some("10.96.0.3"), None),
        ("bare", None, app("db")),
        ("empty", Some("10.96.0.4"), app("nobody")),
    ] {
        let service = Service {
            cluster_ips: address.map(|address| address.parse().expect("an address")).into_iter().collect(),
            ports: vec![port(80, TargetPort::Named("http".into())), port(81, TargetPort::Number(8080))],
            selector,
            ..Service::new(ObjectName::new("shop", name))
        };
        world.services.insert(service.name.clone(), Arc::new(service));
    }
    for (name, spec) in policies {
        let (namespace, name) = name.split_once('/').expect("a namespace and a name");
        let name = ObjectName::new(namespace, name);
        let spec = Some(serde_json::from_value(spec.clone()).expect("the shape of a spec"));
        let policy = NetworkPolicyDraft { name: name.clone(), spec }.validate().expect("a valid policy");
        world.policies.insert(name, Arc::new(policy));
    }
    world
}

fn app(app: &str) -> Value {
    json!({"matchLabels": {"app": app}})
}

fn question(from: &str, to: &str, port: u16) -> Question {
    let (from, to) = (from.parse().expect("an end"), to.parse().expect("an end"));
    Question { from, to, protocol: Protocol::Tcp, port: Some(port) }
}

/// The verdict, and what is missing.
fn answer(world: &World, from: &str, to: &str, port: u16) -> (Verdict, Vec<String>) {
    let answer = explain(&Index::new(world), &question(from, to, port)).answer;
    (answer.verdict, answer.missing.iter().map(ToString::to_string).collect())
}

/// Why the first rule of the one policy of `shop` does not let that connection to `web` in, or `front` out.
fn why(rule: &Value, direction: Direction, from: &str, to: &str, port: u16) -> Vec<String> {
    let spec = match direction {
        Direction::Ingress => json!({"podSelector": {}, "ingress": [rule]}),
        Direction::Egress => json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}),
    };
    let world = world(&[("shop/p", spec)]);
    let explanation = explain(&Index::new(&world), &question(from, to, port));
    match &explanation.paths[0].direction(direction).rules[0].outcome {
        Outcome::Fails(clauses) => clauses.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// Why an ingress rule with this one peer does not let the other end in.
fn why_not_from(peer: &Value, from: &str) -> Vec<String> {
    why(&json!({"from": [peer]}), Direction::Ingress, from, "shop/web", 81)
}

#[test]
fn of_a_peer_with_selectors_the_first_requirement_that_failed_is_told_with_the_peers_label() {
    let expression = |key: &str, operator: &str, values: &[&str]| json!({"podSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}});
    let team = |team: &str| json!({"matchLabels": {"team": team}});
    let table = [
        (json!({"podSelector": app("db")}), "front", "podSelector app=db: the peer has app=front"),
        (
            json!({"podSelector": {"matchLabels": {"role": "x"}}}),
            "front",
            "podSelector role=x: the peer has no label role",
        ),
        (
            expression("app", "NotIn", &["front", "x"]),
            "front",
            "podSelector app not in (front, x): the peer has app=front",
        ),
        (expression("role", "Exists", &[]), "front", "podSelector role exists: the peer has no label role"),
        (
            expression("app", "DoesNotExist", &[]),
            "front",
            "podSelector app does not exist: the peer has app=front",
        ),
        (
            json!({"podSelector": {}}),
            "teller",
            "podSelector of namespace shop (no namespaceSelector): the peer is in namespace bank",
        ),
        (
            json!({"namespaceSelector": team("x")}),
            "teller",
            "namespaceSelector team=x: the peer's namespace bank has team=bank",
        ),
        (
            json!({"namespaceSelector": team("bank"), "podSelector": app("x")}),
            "teller",
            "podSelector app=x: the peer has app=teller",
        ),
    ];
    for (peer, from, expected) in table {
        let namespace = if from == "teller" { "bank" } else { "shop" };
        assert_eq!(why_not_from(&peer, &format!("{namespace}/{from}")), [format!("from[0].{expected}")]);
    }
}

#[test]
fn of_a_peer_that_is_no_pod_or_lies_outside_a_block_it_is_told_what_it_is() {
    let table = [
        (json!({"podSelector": {}}), "192.0.2.1", "podSelector any: the peer 192.0.2.1 is no pod"),
        (
            json!({"namespaceSelector": {}}),
            "10.0.0.2",
            "namespaceSelector any: the peer is node n2 (10.0.0.2), which no selector reaches",
        ),
        (
            json!({"ipBlock": {"cidr": "192.0.2.0/24"}}),
            "shop/front",
            "ipBlock 192.0.2.0/24: the peer has 10.1.0.2",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
            "shop/front",
            "ipBlock 10.0.0.0/8 except 10.1.0.0/16: the peer has 10.1.0.2",
        ),
    ];
    for (peer, from, expected) in table {
        assert_eq!(why_not_from(&peer, from), [format!("from[0].{expected}")]);
    }
    let to_db = json!({"to": [{"podSelector": app("db")}]});
    assert_eq!(
        why(&to_db, Direction::Egress, "shop/front", "shop/agent", 81),
        [
            "to[0].podSelector app=db: pod shop/agent shares its node's network, and no selector reaches a node"
        ]
    );
}

#[test]
fn ports_are_told_where_a_peer_matched_and_every_peer_for_its_own_reason_where_none_did() {
    let (inward, out) = (Direction::Ingress, Direction::Egress);
    let table = [
        (
            json!([{"port": 80}, {"port": 90, "endPort": 99}, {"protocol": "UDP"}]),
            inward,
            "TCP 80, TCP 90-99, UDP",
        ),
        (json!([{"port": "http"}]), inward, "TCP http (the pod's 8080)"),
        (json!([{"port": "https"}]), inward, "TCP https (the pod has no TCP port of that name)"),
        (json!([{"port": "http"}]), out, "TCP http (which only a pod can have)"),
    ];
    for (ports, direction, expected) in table {
        let (from, to) =
            if direction == inward { ("shop/front", "shop/web") } else { ("shop/front", "192.0.2.1") };
        let told = why(&json!({"ports": ports}), direction, from, to, 81);
        assert_eq!(told, [format!("ports {expected}: the connection goes to TCP 81")]);
    }
    let both =
        json!({"from": [{"podSelector": app("db")}, {"podSelector": app("x")}], "ports": [{"port": 9}]});
    let told = why(&both, inward, "shop/front", "shop/web", 81);
    assert_eq!(told.len(), 2, "each peer, and the ports not at all: {told:?}");
    assert!(told[1].starts_with("from[1].podSelector app=x"));
}

#[test]
fn policies_that_do_not_select_the_pod_are_told_apart_with_the_reason() {
    let world = world(&[
        ("shop/db", json!({"podSelector": app("db")})),
        ("shop/out", json!({"podSelector": {}, "policyTypes": ["Egress"]})),
        ("bank/all", json!({"podSelector": {}})),
    ]);
    let explanation = explain(&Index::new(&world), &question("bank/teller", "shop/web", 80));
    let ingress = &explanation.paths[0].ingress;
    assert!(ingress.isolated_by.is_empty() && ingress.rules.is_empty());
    let told: Vec<_> =
        ingress.not_selecting.iter().map(|(policy, clause)| format!("{}: {clause}", policy.name)).collect();
    assert_eq!(told, ["shop/db: podSelector app=db: the pod has app=web"]);
    assert_eq!(explanation.answer.verdict, Verdict::Allowed);
}

#[test]
fn names_that_may_have_been_meant_are_offered() {
    let nothing = world(&[]);
    for (name, to, offered) in [
        ("two letters that were swapped", "shop/frnot", "; there is shop/front"),
        ("a pod of another namespace", "bank/front", "; there is shop/front"),
        ("both namespace and name cut short", "shp/fa", "; there is shop/far"),
        ("nothing like it", "shop/zebra", ""),
    ] {
        let expected = format!("{to}: there is neither a pod nor a service of that name{offered}");
        assert_eq!(answer(&nothing, "shop/web", to, 80).1, [expected], "{name}");
    }
}

#[test]
fn what_cannot_be_known_is_said_and_never_guessed() {
    let lan = json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]});
    let blocks = world(&[("shop/lan", lan)]);
    let table = [
        (
            "a pod that is not there",
            "shop/fr",
            "shop/web",
            "shop/fr: there is neither a pod nor a service of that name; there is shop/front",
        ),
        ("a pod that has ended", "shop/old", "shop/web", "an address of pod shop/old, which has ended"),
        (
            "a pod without an address",
            "shop/new",
            "shop/web",
            "the address of pod shop/new, which an ipBlock asks for",
        ),
        (
            "an address that two pods claim",
            "10.1.0.9",
            "shop/web",
            "which of the pods shop/twin-a, shop/twin-b has the address 10.1.0.9",
        ),
        (
            "a pod whose address another claims",
            "shop/twin-a",
            "shop/web",
            "which of the pods shop/twin-a, shop/twin-b has the address 10.1.0.9",
        ),
        (
            "no common address family",
            "shop/front",
            "shop/six",
            "an address family that both shop/front and shop/six have",
        ),
        ("a node to a pod whose node is not known", "10.0.0.1", "bank/teller", ""),
        (
            "a service without a selector",
            "shop/front",
            "shop/far",
            "who stands behind service shop/far: it has neither a selector nor an endpoint slice",
        ),
        (
            "a service without pods",
            "shop/front",
            "shop/empty",
            "a ready endpoint behind TCP 80 of service shop/empty",
        ),
        (
            "a service that connects",
            "svc/shop/web",
            "shop/db",
            "who connects: service shop/web is connected to, and connects to nobody",
        ),
        (
            "the world by way of a service",
            "192.0.2.1",
            "svc/shop/web",
            "the source address that pods behind service shop/web see: nodes may have replaced it by their own",
        ),
    ];
    for (name, from, to, expected) in table {
        let (verdict, missing) = answer(&blocks, from, to, 80);
        if expected.is_empty() {
            assert_eq!(verdict, Verdict::Allowed, "{name}: nothing isolates it");
        } else {
            assert_eq!(verdict, Verdict::Undecidable, "{name}");
            assert!(missing[0].starts_with(expected), "{name}: {missing:?}");
        }
    }
    let (verdict, missing) = answer(&blocks, "shop/front", "svc/shop/web", 8080);
    assert_eq!(
        (verdict, missing),
        (Verdict::Undecidable, vec!["a port TCP 8080 of service shop/web; it has TCP 80, TCP 81".into()])
    );

    let teller = world(&[("bank/none", json!({"podSelector": {}}))]);
    let (verdict, missing) = answer(&teller, "10.0.0.1", "bank/teller", 80);
    assert_eq!(
        (verdict, missing),
        (
            Verdict::Undecidable,
            vec!["the node that pod bank/teller is on: a node may always connect to its own pods".into()]
        )
    );
    let (verdict, _) = answer(&teller, "192.0.2.1", "bank/teller", 80);
    assert_eq!(verdict, Verdict::Denied);
}

#[test]
fn the_labels_of_a_namespace_without_an_object_are_asked_for_only_where_they_decide() {
    let of_team = |operator: &str, values: &[&str]| {
        json!({"namespaceSelector": {"matchExpressions": [
            {"key": "team", "operator": operator, "values": values},
        ]}})
    };
    let name = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "bank"}}});
    let other =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "x", "team": "a"}}});
    let other_pods = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": app("x")});
    let missing = "the labels of namespace bank, of which there is no Namespace object";
    let table = [
        ("a label that it may have", of_team("In", &["bank"]), Verdict::Undecidable),
        ("a label that it may lack", of_team("NotIn", &["bank"]), Verdict::Undecidable),
        ("a label that it may lack altogether", of_team("DoesNotExist", &[]), Verdict::Undecidable),
        ("its name, which every namespace has as a label", name, Verdict::Allowed),
        ("every namespace", json!({"namespaceSelector": {}}), Verdict::Allowed),
        ("another's name beside a label", other, Verdict::Denied),
        ("pods that are not meant, whatever the namespace", other_pods, Verdict::Denied),
        ("the policy's own namespace", json!({"podSelector": {}}), Verdict::Denied),
    ];
    for (sentence, peer, expected) in table {
        let spec =
            json!({"podSelector": app("web"), "ingress": [{"from": [peer], "ports": [{"port": 8080}]}]});
        let mut world = world(&[("shop/p", spec)]);
        world.namespaces.remove("bank");
        let expected_missing =
            if expected == Verdict::Undecidable { vec![missing.to_owned()] } else { vec![] };
        assert_eq!(
            answer(&world, "bank/teller", "shop/web", 8080),
            (expected, expected_missing),
            "{sentence}"
        );
        let at_another_port = answer(&world, "bank/teller", "shop/web", 8081);
        assert_eq!(at_another_port, (Verdict::Denied, vec![]), "{sentence}, at another port");
        world.namespaces.insert("bank".into(), world.namespaces["shop"].clone());
        let told = answer(&world, "bank/teller", "shop/web", 8080);
        assert_ne!(told.0, Verdict::Undecidable, "{sentence}, and the object is there");
    }
}

#[test]
fn a_clause_that_fails_is_never_one_that_hangs_on_labels_nobody_told_of() {
    let peer = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": app("x")});
    let mut world = world(&[("shop/p", json!({"podSelector": app("web"), "ingress": [{"from": [peer]}]}))]);
    world.namespaces.remove("bank");
    let index = Index::new(&world);
    let explanation = explain(&index, &question("bank/teller", "shop/web", 8080));
    let Outcome::Fails(clauses) = &explanation.paths[0].ingress.rules[0].outcome else { panic!("it fails") };
    assert_eq!(clauses[0].to_string(), "from[0].podSelector app=x: the peer has app=teller");
}

#[test]
fn facts_that_do_not_matter_are_not_asked_for() {
    let selectors = world(&[(
        "shop/front",
        json!({"podSelector": app("web"), "ingress": [{"from": [{"podSelector": app("new")}]}]}),
    )]);
    assert_eq!(answer(&selectors, "shop/new", "shop/web", 80), (Verdict::Allowed, vec![]));
    let closed = world(&[("shop/none", json!({"podSelector": {}}))]);
    assert_eq!(answer(&closed, "shop/new", "shop/web", 80).0, Verdict::Denied);
    assert_eq!(answer(&closed, "192.0.2.1", "svc/shop/web", 80).0, Verdict::Denied);
    let out = world(&[
        ("shop/out", json!({"podSelector": app("front"), "policyTypes": ["Egress"]})),
        (
            "shop/lan",
            json!({"podSelector": app("new"), "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
        ),
    ]);
    assert_eq!(answer(&out, "shop/front", "shop/new", 80), (Verdict::Denied, vec![]), "denied at its source");
}

#[test]
fn nodes_reach_their_own_pods_and_host_network_pods_are_nodes() {
    let closed = world(&[("shop/none", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))]);
    let table = [
        ("a node to its pod", "10.0.0.1", "shop/web", Verdict::Allowed),
        ("a node to another node's pod", "10.0.0.2", "shop/web", Verdict::Denied),
        ("a host-network pod to a pod of its node", "shop/agent", "shop/web", Verdict::Allowed),
        ("a host-network pod to a pod of another node", "shop/agent", "shop/db", Verdict::Denied),
        ("a pod to a host-network pod", "shop/web", "shop/agent", Verdict::Denied),
        (
            "the world to a host-network pod, which nothing isolates",
            "192.0.2.1",
            "shop/agent",
            Verdict::Allowed,
        ),
        ("a pod to itself", "shop/web", "shop/web", Verdict::Allowed),
    ];
    for (name, from, to, expected) in table {
        assert_eq!(answer(&closed, from, to, 80).0, expected, "{name}");
    }
}

#[test]
fn a_service_is_judged_by_the_pods_behind_it_and_their_ports() {
    let web = world(&[("shop/web", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 8080}]}]}))]);
    let table = [
        ("by name, its target named", "shop/front", "svc/shop/web", 80, Verdict::Allowed),
        ("by its address", "shop/front", "10.96.0.1", 81, Verdict::Allowed),
        ("the pod itself on the service's port", "shop/front", "pod/shop/web", 80, Verdict::Denied),
        ("a name that is a pod's and a service's is the pod", "shop/front", "shop/web", 80, Verdict::Denied),
        ("a headless service leads to the pods' own ports", "shop/front", "shop/bare", 80, Verdict::Denied),
        ("a headless service on an open port", "shop/front", "shop/bare", 8080, Verdict::Allowed),
    ];
    for (name, from, to, port, expected) in table {
        assert_eq!(answer(&web, from, to, port).0, expected, "{name}");
    }
    let mut some = world(&[("shop/db", json!({"podSelector": app("db")}))]);
    some.pods.retain(|name, _| !name.name.starts_with("twin"));
    let (verdict, missing) = answer(&some, "bank/teller", "shop/store", 81);
    assert_eq!(verdict, Verdict::Undecidable);
    assert_eq!(missing, ["which endpoint behind service shop/store answers: 3 of 4 may be reached"]);
}

#[test]
fn verdicts_that_differ_by_address_family_say_so() {
    let six = json!({"podSelector": app("web"), "ingress": [{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}]});
    let mut world = world(&[("shop/six", six)]);
    let front = Arc::make_mut(world.pods.get_mut(&ObjectName::new("shop", "front")).unwrap());
    front.addresses.push("fd00::2".parse().unwrap());
    let (verdict, missing) = answer(&world, "shop/front", "shop/web", 80);
    assert_eq!(verdict, Verdict::Undecidable);
    assert_eq!(
        missing,
        ["the address family: the verdict is not the same over IPv4 and IPv6; ask for addresses"]
    );
    assert_eq!(answer(&world, "fd00::2", "fd00::1", 80).0, Verdict::Allowed);
    assert_eq!(answer(&world, "10.1.0.2", "10.1.0.1", 80).0, Verdict::Denied);
}

#[test]
fn icmp_of_either_version_goes_by_the_addresses_of_its_own_family_alone() {
    let six = json!({"podSelector": app("web"), "ingress": [{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}]});
    let mut world = world(&[("shop/six", six)]);
    let front = Arc::make_mut(world.pods.get_mut(&ObjectName::new("shop", "front")).unwrap());
    front.addresses.push("fd00::2".parse().unwrap());
    let no_family =
        "an address family that both 10.1.0.2 and shop/web have, and that ICMPv6 goes by, which is IPv6";
    let table = [
        ("ICMP by IPv4", Protocol::Icmp, "shop/front", Verdict::Denied, None),
        ("ICMPv6 by IPv6", Protocol::Icmpv6, "shop/front", Verdict::Allowed, None),
        (
            "ICMPv6 from an address of IPv4",
            Protocol::Icmpv6,
            "10.1.0.2",
            Verdict::Undecidable,
            Some(no_family),
        ),
    ];
    let index = Index::new(&world);
    for (sentence, protocol, from, verdict, missing) in table {
        let question = Question { protocol, port: None, ..question(from, "shop/web", 1) };
        let answer = explain(&index, &question).answer;
        let told: Vec<String> = answer.missing.iter().map(ToString::to_string).collect();
        assert_eq!((answer.verdict, told.first().map(String::as_str)), (verdict, missing), "{sentence}");
        assert_eq!(Prober::new(&index).answer(&question), answer, "{sentence}");
    }
}

/// The change for this question, as YAML.
fn change(policies: &[(&str, Value)], from: &str, to: &str, port: u16) -> Option<String> {
    let world = world(policies);
    let index = Index::new(&world);
    let explanation = explain(&index, &question(from, to, port));
    Some(smallest_change(&index, Protocol::Tcp, &explanation)?.to_yaml(&world.policies))
}

#[test]
fn the_smallest_change_adds_one_peer_where_a_rule_has_the_port_and_one_port_where_it_has_the_peer() {
    let rule =
        |from: &str, port: u16| json!({"from": [{"podSelector": app(from)}], "ports": [{"port": port}]});
    let web = |rules: Vec<Value>| [("shop/web", json!({"podSelector": app("web"), "ingress": rules}))];
    let peer = change(&web(vec![rule("db", 80)]), "shop/front", "shop/web", 80).unwrap();
    assert!(
        peer.contains("    - podSelector:  # added\n        matchLabels:\n          app: front\n    ports:"),
        "{peer}"
    );
    let port = change(&web(vec![rule("front", 443)]), "shop/front", "shop/web", 80).unwrap();
    assert!(port.contains("    - protocol: TCP  # added\n      port: 80\n"), "{port}");
    let narrower = web(vec![json!({"from": [{"podSelector": app("db")}]}), rule("db", 80)]);
    let narrower = change(&narrower, "shop/front", "shop/web", 80).unwrap();
    let (first, second) = narrower.split_once("  - from:").unwrap().1.split_once("  - from:").unwrap();
    assert!(!first.contains("added") && second.contains("added"), "the rule of one port: {narrower}");
    assert_eq!(change(&web(vec![rule("front", 80)]), "shop/front", "shop/web", 80), None);
}

#[test]
fn where_neither_peer_nor_port_is_there_a_new_policy_of_one_rule_is_the_smallest_change() {
    let closed = [("shop/none", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))];
    let yaml = change(&closed, "shop/front", "10.96.0.1", 80).unwrap();
    assert_eq!(yaml, include_str!("explain/two-policies.yaml"));
    let world = change(&closed, "192.0.2.1", "shop/db", 80).unwrap();
    assert!(world.contains("    - ipBlock:\n        cidr: 192.0.2.1/32\n"), "{world}");
    let bank = change(&closed, "bank/teller", "shop/db", 80).unwrap();
    assert!(bank.contains("    - namespaceSelector:\n        matchLabels:\n          kubernetes.io/metadata.name: bank\n      podSelector:"), "{bank}");
}

#[test]
fn a_new_policy_isolates_nobody_who_was_not_isolated() {
    let picky = json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}, {"key": "pod-template-hash", "operator": "In", "values": ["1", "2"]}]}});
    let yaml = change(&[("shop/picky", picky)], "shop/front", "shop/web", 80).unwrap();
    assert!(yaml.contains("- key: tier\n      operator: DoesNotExist"), "{yaml}");
    assert!(yaml.contains("- key: pod-template-hash\n      operator: In"), "{yaml}");
}

/// The world with the service `web` open at every node's port 30080 and at 192.0.2.80, and `front` on node n1.
fn outside(policies: &[(&str, Value)], keeps_source: bool) -> World {
    let mut world = world(policies);
    let web = Arc::make_mut(world.services.get_mut(&ObjectName::new("shop", "web")).expect("a service"));
    web.external_addresses.push("192.0.2.80".parse().expect("an address"));
    web.ports[0].node_port = Some(30_080);
    web.keeps_source = keeps_source;
    world
}

#[test]
fn a_port_at_a_node_and_an_address_outside_lead_to_the_pods_behind_the_service() {
    use Verdict::{Allowed, Denied};

    let to_web = json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": app("web")}], "ports": [{"port": 8080}]}]});
    let to_db = json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": app("db")}]}]});
    for (what, to, port, to_the_pods, to_others) in [
        ("an address outside", "192.0.2.80", 80, Allowed, Denied),
        ("a port of the own node", "10.0.0.1", 30_080, Allowed, Denied),
        (
            "a port of another node, which the own one takes for the node's",
            "10.0.0.2",
            30_080,
            Denied,
            Denied,
        ),
        ("a port that is no service's", "10.0.0.1", 30_081, Denied, Denied),
        ("a port that the service does not have", "192.0.2.80", 30_080, Denied, Denied),
    ] {
        for keeps_source in [false, true] {
            let found = |policy: &Value| {
                answer(&outside(&[("shop/p", policy.clone())], keeps_source), "shop/front", to, port).0
            };
            assert_eq!((found(&to_web), found(&to_db)), (to_the_pods, to_others), "{what}");
        }
    }
}

#[test]
fn a_port_of_another_node_is_judged_as_that_node_here_and_by_what_that_node_makes_of_the_source_there() {
    use Verdict::{Allowed, Denied, Undecidable};

    let out = |peer: Value, port: u16| {
        let rule = json!({"to": [peer], "ports": [{"port": port}]});
        json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": [rule]})
    };
    let block = |range: &str| json!({"ipBlock": {"cidr": range}});
    let from = |peer: Value| json!({"podSelector": app("web"), "ingress": [{"from": [peer]}]});
    let node = out(block("10.0.0.2/32"), 30_080);
    let (to_pod, port_of_pod) =
        (out(json!({"podSelector": app("web")}), 8080), out(block("10.0.0.2/32"), 8080));
    let anyone = json!({"podSelector": app("web"), "ingress": [{}]});
    let (front, any_block) = (from(json!({"podSelector": app("front")})), from(block("0.0.0.0/0")));
    let masked =
        "the source address that pods behind service shop/web see: nodes may have replaced it by their own";
    // of a service that hides who connects, and of one that keeps it
    for (what, egress, ingress, expected, missing) in [
        ("the node, and nothing isolates the pods", &node, None, [Allowed; 2], None),
        ("the node, and anyone may come", &node, Some(&anyone), [Allowed; 2], None),
        ("the node, and the client may come", &node, Some(&front), [Denied, Undecidable], Some(masked)),
        ("the node, and an address may come", &node, Some(&any_block), [Undecidable; 2], Some(masked)),
        ("the pods, which do not show here", &to_pod, None, [Denied; 2], None),
        ("the node, on the pods' port", &port_of_pod, None, [Denied; 2], None),
    ] {
        for (keeps_source, expected) in [false, true].into_iter().zip(expected) {
            let policies =
                [Some(("shop/out", egress.clone())), ingress.map(|policy| ("shop/in", policy.clone()))];
            let policies: Vec<_> = policies.into_iter().flatten().collect();
            let world = outside(&policies, keeps_source);
            let (verdict, told) = answer(&world, "shop/front", "10.0.0.2", 30_080);
            assert_eq!(verdict, expected, "{what}: {told:?}");
            let missing: Vec<&str> = missing.filter(|_| verdict == Undecidable).into_iter().collect();
            assert_eq!(told, missing, "{what}");
        }
    }
    let open = outside(&[], false);
    let paths = explain(&Index::new(&open), &question("shop/front", "10.0.0.2", 30_080)).paths;
    let ends = paths.iter().map(|path| (path.path.to.to_string(), path.path.other_node.is_some()));
    assert_eq!(ends.collect::<Vec<_>>(), [("shop/web".to_owned(), false)], "who judges nothing sees no node");
    let mut world = outside(&[("shop/out", to_pod)], false);
    Arc::make_mut(world.pods.get_mut(&ObjectName::new("shop", "front")).unwrap()).node = String::new();
    let (verdict, told) = answer(&world, "shop/front", "10.0.0.2", 30_080);
    assert_eq!(verdict, Undecidable);
    let where_from = "whether shop/front is on node n2 (10.0.0.2): another node judges that connection as one to this node";
    assert_eq!(told, [where_from]);
}

#[test]
fn a_source_that_a_node_hides_is_reached_by_no_selector_and_its_address_is_not_known() {
    use Verdict::{Allowed, Denied, Undecidable};

    let from = |peers: Value| json!({"podSelector": app("web"), "ingress": [{"from": peers}]});
    let front = from(json!([{"podSelector": app("front")}]));
    let block = from(json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]));
    let anyone = json!({"podSelector": app("web"), "ingress": [{}]});
    // of the selector, the block and anyone
    for (what, source, to, keeps_source, expected) in [
        ("a cluster address", "shop/front", "svc/shop/web", false, [Allowed, Allowed, Allowed]),
        ("outside, kept", "shop/front", "192.0.2.80", true, [Allowed, Allowed, Allowed]),
        ("outside, hidden", "shop/front", "192.0.2.80", false, [Denied, Undecidable, Allowed]),
        ("the own node, kept", "shop/front", "10.0.0.1", true, [Allowed, Allowed, Allowed]),
        ("the own node, hidden", "shop/front", "10.0.0.1", false, [Denied, Undecidable, Allowed]),
        (
            "another node, which may hide it",
            "shop/front",
            "10.0.0.2",
            true,
            [Undecidable, Undecidable, Allowed],
        ),
        ("another node, which hides it", "shop/front", "10.0.0.2", false, [Denied, Undecidable, Allowed]),
        ("the pod itself, hidden", "shop/web", "192.0.2.80", false, [Undecidable, Undecidable, Allowed]),
        ("the world, hidden", "198.51.100.1", "192.0.2.80", false, [Denied, Undecidable, Allowed]),
    ] {
        let port = if to.starts_with("10.0.") { 30_080 } else { 80 };
        let found = [&front, &block, &anyone].map(|policy| {
            let mut world = outside(&[("shop/p", policy.clone())], keeps_source);
            // one family
            Arc::make_mut(world.pods.get_mut(&ObjectName::new("shop", "web")).unwrap()).addresses.pop();
            answer(&world, source, to, port).0
        });
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn the_name_of_a_headless_service_stands_for_those_who_are_ready() {
    let to_web = json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": app("web")}]}]});
    let slice = |state| EndpointSlice {
        name: ObjectName::new("shop", "all-1"),
        service: "all".into(),
        address_type: AddressType::Ipv4,
        ports: Vec::new(),
        endpoints: [("10.1.0.1", EndpointState::Ready), ("10.1.0.3", state)]
            .map(|(own, state)| Endpoint { address: own.parse().unwrap(), state, node: String::new() })
            .into(),
    };
    for (what, is_ready, stage, state, expected) in [
        ("both are", true, Stage::Alive, EndpointState::Ready, Verdict::Undecidable),
        ("the one that it may not reach ends", true, Stage::Ending, EndpointState::Ending, Verdict::Allowed),
        ("it is not ready", false, Stage::Alive, EndpointState::Unready, Verdict::Allowed),
    ] {
        let mut world = world(&[("shop/p", to_web.clone())]);
        for name in ["web", "db"] {
            let pod = Arc::make_mut(world.pods.get_mut(&ObjectName::new("shop", name)).unwrap());
            pod.labels.insert("behind".to_owned(), "all".to_owned());
            if name == "db" {
                (pod.is_ready, pod.stage) = (is_ready, stage);
            }
        }
        let all = Service {
            selector: Some(Labels::from([("behind".to_owned(), "all".to_owned())])),
            ..Service::new(ObjectName::new("shop", "all"))
        };
        world.services.insert(all.name.clone(), Arc::new(all));
        assert_eq!(answer(&world, "shop/front", "svc/shop/all", 80).0, expected, "{what}, by the selector");
        world.endpoint_slices.insert(ObjectName::new("shop", "all-1"), Arc::new(slice(state)));
        assert_eq!(answer(&world, "shop/front", "svc/shop/all", 80).0, expected, "{what}, by a slice");
    }
}

#[test]
fn a_service_for_its_own_node_is_judged_by_those_on_the_clients_node() {
    use Verdict::{Allowed, Denied, Undecidable};

    let to_web = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": app("web")}]}]});
    // a client, and a node each for a pod that it may connect to and one that it may not
    for (what, client, web, db, expected, missing) in [
        ("the one that it may is on its node", "n1", "n1", "n2", Allowed, None),
        ("the one that it may not is", "n1", "n2", "n1", Denied, None),
        ("both are", "n1", "n1", "n1", Undecidable, Some("which endpoint behind service shop/all answers")),
        ("nobody says where either is", "", "n1", "", Undecidable, Some("shop/all answers: 1 of 2 may")),
        ("neither is", "n3", "n1", "n2", Denied, None),
        (
            "nobody says where the client is",
            "",
            "n1",
            "n2",
            Undecidable,
            Some("shop/all answers: 1 of 2 may"),
        ),
        ("nor where the one that it may is", "n1", "", "n2", Allowed, None),
        (
            "the other is on its node, and that one may be",
            "n1",
            "",
            "n1",
            Undecidable,
            Some("which endpoint"),
        ),
    ] {
        let mut world = world(&[("shop/p", to_web.clone())]);
        let all = Service {
            cluster_ips: vec!["10.96.0.9".parse().unwrap()],
            is_node_local: true,
            selector: Some(Labels::from([("behind".to_owned(), "all".to_owned())])),
            ports: vec![ServicePort {
                name: String::new(),
                protocol: Protocol::Tcp,
                port: 80,
                target: TargetPort::Number(8080),
                node_port: None,
            }],
            ..Service::new(ObjectName::new("shop", "all"))
        };
        world.services.insert(all.name.clone(), Arc::new(all));
        for (name, node) in [("front", client), ("web", web), ("db", db)] {
            let pod = Arc::make_mut(world.pods.get_mut(&ObjectName::new("shop", name)).unwrap());
            pod.node = node.to_owned();
            if name != "front" {
                pod.labels.insert("behind".to_owned(), "all".to_owned());
            }
        }
        for to in ["svc/shop/all", "10.96.0.9"] {
            let (verdict, told) = answer(&world, "shop/front", to, 80);
            assert_eq!(verdict, expected, "{what}, {to}: {told:?}");
            let is_told = missing.is_none_or(|missing| told.iter().any(|told| told.contains(missing)));
            assert!(is_told, "{what}, {to}: {told:?}");
            let index = Index::new(&world);
            assert_eq!(
                Prober::new(&index).answer(&question("shop/front", to, 80)).verdict,
                expected,
                "{what}, {to}"
            );
        }
    }
}

#[test]
fn nodes_that_masquerade_all_hide_who_comes_to_a_cluster_address_and_may_hide_who_comes_from_outside() {
    use Verdict::{Allowed, Denied, Undecidable};

    let from = |peers: Value| json!({"podSelector": app("web"), "ingress": [{"from": peers}]});
    let front = from(json!([{"podSelector": app("front")}]));
    let anyone = json!({"podSelector": app("web"), "ingress": [{}]});
    for (what, to, port, keeps_source, expected) in [
        ("a cluster address", "10.96.0.1", 80, true, [Denied, Allowed]),
        ("outside, hidden by the service", "192.0.2.80", 80, false, [Denied, Allowed]),
        ("outside, kept by the service", "192.0.2.80", 80, true, [Undecidable, Allowed]),
        ("a node port, kept by the service", "10.0.0.1", 30_080, true, [Undecidable, Allowed]),
        ("the pod itself", "10.1.0.1", 8080, true, [Allowed, Allowed]),
    ] {
        let found = [&front, &anyone].map(|policy| {
            let world = outside(&[("shop/p", policy.clone())], keeps_source);
            let index = Index::new(&world).masquerading(Masquerade::All);
            explain(&index, &question("shop/front", to, port)).answer.verdict
        });
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn where_nobody_can_answer_only_a_rule_for_anyone_on_every_port_lets_a_pod_out() {
    use Verdict::{Denied, Undecidable};

    let egress =
        |rule: Value| json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": [rule]});
    for (what, rule, expected) in [
        ("anyone on every port", json!({}), Undecidable),
        ("anyone on every TCP port", json!({"ports": [{"protocol": "TCP"}]}), Undecidable),
        ("anyone on that port", json!({"ports": [{"port": 8080}]}), Denied),
        ("anyone on every UDP port", json!({"ports": [{"protocol": "UDP"}]}), Denied),
        ("every pod", json!({"to": [{"namespaceSelector": {}}]}), Denied),
        ("every address", json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}), Denied),
    ] {
        let world = outside(&[("shop/p", egress(rule))], false);
        for (to, port, lacks) in [
            ("svc/shop/web", 8080, "a port TCP 8080 of service shop/web; it has TCP 80, TCP 81"),
            ("10.96.0.1", 8080, "a port TCP 8080 of service shop/web; it has TCP 80, TCP 81"),
            ("192.0.2.80", 8080, "a port TCP 8080 of service shop/web; it has TCP 80, TCP 81"),
            ("svc/shop/empty", 80, "a ready endpoint behind TCP 80 of service shop/empty"),
        ] {
            let (verdict, missing) = answer(&world, "shop/front", to, port);
            assert_eq!(verdict, expected, "{what}, to {to}");
            assert_eq!(missing, if verdict == Undecidable { vec![lacks] } else { vec![] }, "{what}, to {to}");
            let explanation = explain(&Index::new(&world), &question("shop/front", to, port));
            assert_eq!(smallest_change(&Index::new(&world), Protocol::Tcp, &explanation), None, "{what}");
        }
    }
}

#[test]
fn slices_lead_to_pods_and_to_others_whom_ip_blocks_reach() {
    use Verdict::{Allowed, Denied, Undecidable};

    let to = |peer: Value| json!({"podSelector": app("front"), "policyTypes": ["Egress"], "egress": [{"to": [peer]}]});
    let slice = |ends: &[&str]| EndpointSlice {
        name: ObjectName::new("shop", "far-1"),
        service: "far".into(),
        address_type: AddressType::Ipv4,
        ports: vec![SlicePort { name: String::new(), protocol: Protocol::Tcp, number: Some(443) }],
        endpoints: ends
            .iter()
            .map(|own| Endpoint {
                address: own.parse().unwrap(),
                state: EndpointState::Ready,
                node: String::new(),
            })
            .collect(),
    };
    let (pod, outside) = (json!({"podSelector": app("db")}), json!({"ipBlock": {"cidr": "198.51.100.0/24"}}));
    for (what, ends, to_pod, to_block) in [
        ("a pod", &["10.1.0.3"][..], Allowed, Denied),
        ("an address outside", &["198.51.100.7"], Denied, Allowed),
        ("both", &["10.1.0.3", "198.51.100.7"], Undecidable, Undecidable),
        ("nobody", &[], Denied, Denied),
    ] {
        let found = |peer: &Value| {
            let mut world = world(&[("shop/p", to(peer.clone()))]);
            let slice = slice(ends);
            world.endpoint_slices.insert(slice.name.clone(), Arc::new(slice));
            answer(&world, "shop/front", "svc/shop/far", 80).0
        };
        assert_eq!((found(&pod), found(&outside)), (to_pod, to_block), "{what}");
    }
}
