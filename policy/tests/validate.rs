//! What is valid, which defaults are filled in, and how errors name the field.

use palomar_model::netpol::{NetworkPolicy, Peer, PortRule, Ports};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::selector::{Requirement, Selector};
use palomar_policy::draft::{NetworkPolicyDraft, SpecDraft};
use serde_json::{Value, json};

fn draft(spec: Value) -> NetworkPolicyDraft {
    let spec: SpecDraft = serde_json::from_value(spec).expect("the shape of a spec");
    NetworkPolicyDraft { name: ObjectName::new("ns", "policy"), spec: Some(spec) }
}

fn valid(spec: Value) -> NetworkPolicy {
    draft(spec).validate().expect("a valid policy")
}

fn error(spec: Value) -> String {
    draft(spec).validate().expect_err("an invalid policy").to_string()
}

/// A spec with this one ingress rule.
fn with_rule(rule: &Value) -> Value {
    json!({"podSelector": {}, "ingress": [rule]})
}

/// A spec whose only ingress rule has this one peer.
fn with_peer(peer: &Value) -> Value {
    with_rule(&json!({"from": [peer]}))
}

#[test]
fn policy_types_default_as_in_the_api_server() {
    let rule = json!([{}]);
    let table = [
        ("nothing written isolates ingress", json!({"podSelector": {}}), (Some(0), None)),
        (
            "an egress rule isolates egress too",
            json!({"podSelector": {}, "egress": rule}),
            (Some(0), Some(1)),
        ),
        (
            "an empty egress list is no egress section",
            json!({"podSelector": {}, "egress": []}),
            (Some(0), None),
        ),
        (
            "an empty list of types counts as absent",
            json!({"podSelector": {}, "policyTypes": [], "egress": rule}),
            (Some(0), Some(1)),
        ),
        (
            "null counts as absent",
            json!({"podSelector": {}, "policyTypes": null, "ingress": null}),
            (Some(0), None),
        ),
        (
            "Egress alone leaves ingress open",
            json!({"podSelector": {}, "policyTypes": ["Egress"]}),
            (None, Some(0)),
        ),
        (
            "Egress alone drops ingress rules",
            json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": rule}),
            (None, Some(0)),
        ),
        (
            "Ingress alone drops egress rules",
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": rule}),
            (Some(0), None),
        ),
        (
            "both without rules isolate both",
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
            (Some(0), Some(0)),
        ),
        (
            "a type may stand twice",
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Ingress"]}),
            (Some(0), None),
        ),
    ];
    for (name, spec, expected) in table {
        let policy = valid(spec);
        let count = |rules: &Option<Vec<_>>| rules.as_ref().map(Vec::len);
        assert_eq!((count(&policy.ingress), count(&policy.egress)), expected, "{name}");
    }
}

#[test]
fn absent_and_empty_peers_and_ports_mean_everyone_and_everything() {
    for (name, rule) in [
        ("absent", json!({})),
        ("empty", json!({"from": [], "ports": []})),
        ("null", json!({"from": null, "ports": null})),
    ] {
        let rules = valid(with_rule(&rule)).ingress.expect("isolated");
        assert!(rules[0].peers.is_empty() && rules[0].ports.is_empty(), "{name}");
    }
}

#[test]
fn absent_and_empty_selectors_of_a_peer_are_kept_apart() {
    let all = || Some(Selector::default());
    let table = [
        ("pods of the own namespace", json!({"podSelector": {}}), (None, all())),
        ("all pods of all namespaces", json!({"namespaceSelector": {}}), (all(), None)),
        ("null counts as absent", json!({"namespaceSelector": {}, "podSelector": null}), (all(), None)),
        ("both", json!({"namespaceSelector": {}, "podSelector": {}}), (all(), all())),
    ];
    for (name, peer, (namespaces, pods)) in table {
        let rules = valid(with_peer(&peer)).ingress.expect("isolated");
        assert_eq!(rules[0].peers, [Peer::Pods { namespaces, pods }], "{name}");
    }
}

#[test]
fn selectors_keep_every_requirement_labels_first() {
    let policy = valid(json!({"podSelector": {
        "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["1", "2"]},
            {"key": "b", "operator": "NotIn", "values": [""]},
            {"key": "example.com/c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist", "values": []},
        ],
        "matchLabels": {"app": "web", "empty": ""},
    }}));
    assert_eq!(
        policy.pod_selector.requirements,
        [
            Requirement::In("app".into(), vec!["web".into()]),
            Requirement::In("empty".into(), vec![String::new()]),
            Requirement::In("a".into(), vec!["1".into(), "2".into()]),
            Requirement::NotIn("b".into(), vec![String::new()]),
            Requirement::Exists("example.com/c".into()),
            Requirement::DoesNotExist("d".into()),
        ]
    );
}

#[test]
fn ports_default_to_tcp_and_to_a_range_of_one() {
    let table = [
        ("nothing", json!({}), Protocol::Tcp, Ports::Every),
        ("a port", json!({"port": 80}), Protocol::Tcp, Ports::Range(80, 80)),
        ("a protocol", json!({"protocol": "SCTP"}), Protocol::Sctp, Ports::Every),
        ("a name", json!({"port": "http"}), Protocol::Tcp, Ports::Named("http".into())),
        (
            "a name of another protocol",
            json!({"protocol": "UDP", "port": "dns-53"}),
            Protocol::Udp,
            Ports::Named("dns-53".into()),
        ),
        (
            "a range",
            json!({"protocol": "UDP", "port": 1, "endPort": 65535}),
            Protocol::Udp,
            Ports::Range(1, 65_535),
        ),
        ("a range of one", json!({"port": 80, "endPort": 80}), Protocol::Tcp, Ports::Range(80, 80)),
    ];
    for (name, port, protocol, ports) in table {
        let rules = valid(with_rule(&json!({"ports": [port]}))).ingress.expect("isolated");
        assert_eq!(rules[0].ports, [PortRule { protocol, ports }], "{name}");
    }
}

#[test]
fn blocks_lose_host_bits_and_repeated_exceptions() {
    let policy = valid(with_peer(&json!({"ipBlock": {
        "cidr": "10.9.8.7/8", "except": ["10.2.0.0/16", "10.1.0.0/16", "10.1.255.0/16"],
    }})));
    let rules = policy.ingress.expect("isolated");
    let [Peer::Block(block)] = rules[0].peers.as_slice() else { panic!("a block") };
    assert_eq!(block.to_string(), "10.0.0.0/8 except 10.1.0.0/16, 10.2.0.0/16");
}

#[test]
fn a_spec_or_its_pod_selector_left_out_is_an_error_and_never_selects_all() {
    let none = NetworkPolicyDraft { name: ObjectName::new("ns", "policy"), spec: None };
    assert_eq!(none.validate().unwrap_err().to_string(), "spec: is required");
    let expected =
        "spec.podSelector: is required; to select every pod of the namespace write podSelector: {}";
    assert_eq!(error(json!({})), expected);
    assert_eq!(error(json!({"podSelector": null})), expected);
}

#[test]
fn unknown_fields_and_ports_of_a_wrong_type_are_errors_of_the_shape() {
    for spec in [
        json!({"podSelector": {}, "podSelektor": {}}),
        json!({"podSelector": {"matchLabel": {}}}),
        with_rule(&json!({"to": []})),
        with_peer(&json!({"ipblock": {}})),
        with_rule(&json!({"ports": [{"port": 80, "endport": 81}]})),
        with_rule(&json!({"ports": [{"port": 80.5}]})),
        with_rule(&json!({"ports": [{"port": true}]})),
    ] {
        let result = serde_json::from_value::<SpecDraft>(spec.clone());
        assert!(result.is_err(), "{spec}");
    }
}

#[test]
fn errors_in_the_spec_name_the_field_and_the_choices() {
    for (spec, expected) in [
        (
            json!({"podSelector": {}, "policyTypes": ["Ingress", "egress"]}),
            r#"spec.policyTypes[1]: policy type "egress" is unknown; choose from: Ingress, Egress"#,
        ),
        (
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]}),
            "spec.policyTypes: 3 policy types are too many; choose at most two from: Ingress, Egress",
        ),
        (
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"to": [{}]}]}),
            "spec.egress[0].to[0]: the peer is empty; choose from: podSelector, namespaceSelector, both of these, \
             ipBlock; for every peer leave the list out",
        ),
    ] {
        assert_eq!(error(spec), expected);
    }
}

#[test]
fn errors_in_peers_name_the_field_and_what_to_write() {
    for (peer, expected) in [
        (
            json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            ": ipBlock stands together with a selector; write them as two peers",
        ),
        (
            json!({"namespaceSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            ": ipBlock stands together with a selector; write them as two peers",
        ),
        (json!({"ipBlock": {}}), ".ipBlock.cidr: is required"),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0"}}),
            r#".ipBlock.cidr: "10.0.0.0" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#,
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/33"}}),
            r#".ipBlock.cidr: "10.0.0.0/33" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#,
        ),
        (
            json!({"ipBlock": {"cidr": "010.0.0.0/8"}}),
            r#".ipBlock.cidr: "010.0.0.0/8" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#,
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/08"}}),
            r#".ipBlock.cidr: "10.0.0.0/08" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#,
        ),
        (
            json!({"ipBlock": {"cidr": "fe80::%eth0/64"}}),
            r#".ipBlock.cidr: "fe80::%eth0/64" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#,
        ),
        (
            json!({"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}}),
            r#".ipBlock.cidr: "::ffff:10.0.0.0/104" is IPv4 mapped into IPv6; write the IPv4 range"#,
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}}),
            r#".ipBlock.except[1]: "11.0.0.0/16" does not lie strictly inside 10.0.0.0/8"#,
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}),
            r#".ipBlock.except[0]: "10.0.0.0/8" does not lie strictly inside 10.0.0.0/8"#,
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]}}),
            r#".ipBlock.except[0]: "0.0.0.0/0" does not lie strictly inside 10.0.0.0/8"#,
        ),
        (
            json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["2001:db8::/32"]}}),
            r#".ipBlock.except[0]: "2001:db8::/32" does not lie strictly inside 0.0.0.0/0"#,
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x\u{1b}[2J"]}}),
            r#".ipBlock.except[0]: "x\u{1b}[2J" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#,
        ),
    ] {
        assert_eq!(error(with_peer(&peer)), format!("spec.ingress[0].from[0]{expected}"));
    }
}

#[test]
fn errors_in_ports_name_the_field_and_the_range() {
    for (port, expected) in [
        (json!({"port": 0}), ".port: port 0 is out of range; choose from: 1 to 65535"),
        (json!({"port": 65536}), ".port: port 65536 is out of range; choose from: 1 to 65535"),
        (json!({"port": -1}), ".port: port -1 is out of range; choose from: 1 to 65535"),
        (
            json!({"port": 80, "endPort": 65536}),
            ".endPort: port 65536 is out of range; choose from: 1 to 65535",
        ),
        (json!({"port": 80, "endPort": 79}), ".endPort: 79 is less than port 80"),
        (json!({"endPort": 80}), ".endPort: needs a port to begin the range; add port"),
        (json!({"protocol": "tcp"}), r#".protocol: protocol "tcp" is unknown; choose from: TCP, UDP, SCTP"#),
        (
            json!({"protocol": "ICMP"}),
            r#".protocol: protocol "ICMP" is unknown; choose from: TCP, UDP, SCTP"#,
        ),
        (
            json!({"port": "http", "endPort": 90}),
            r#".endPort: cannot end the range that named port "http" begins; write the port as a number"#,
        ),
        (json!({"port": ""}), r#".port: "" is not the name of a port: it is empty"#),
        (
            json!({"port": "HTTP"}),
            r#".port: "HTTP" is not the name of a port: only lower-case letters, digits and '-' may stand in it"#,
        ),
        (
            json!({"port": "serve-8080-tcp-a"}),
            r#".port: "serve-8080-tcp-a" is not the name of a port: it is longer than 15 characters"#,
        ),
        (json!({"port": "8-0"}), r#".port: "8-0" is not the name of a port: it needs at least one letter"#),
        (json!({"port": "80"}), r#".port: "80" is text; write the port number without quotes"#),
    ] {
        assert_eq!(
            error(with_rule(&json!({"ports": [port]}))),
            format!("spec.ingress[0].ports[0]{expected}")
        );
    }
}

#[test]
fn errors_in_selectors_name_the_field_and_the_choices() {
    let long = "x".repeat(64);
    let labels = |key: &str, value: &str| json!({"matchLabels": {key: value}});
    let expression = |expression: Value| json!({"matchExpressions": [expression]});
    for (selector, expected) in [
        (labels("", "x"), r#".matchLabels: "" is not a label key: the name is empty"#.to_owned()),
        (labels("/a", "x"), r#".matchLabels: "/a" is not a label key: the prefix before '/' is empty"#.into()),
        (labels("a/", "x"), r#".matchLabels: "a/" is not a label key: the name is empty"#.into()),
        (labels("a/b/c", "x"), r#".matchLabels: "a/b/c" is not a label key: only letters, digits, '-', '_' and '.' may stand in it"#.into()),
        (labels("Example.com/a", "x"), r#".matchLabels: "Example.com/a" is not a label key: the prefix is not a DNS name of lowercase letters, digits, '-' and '.'"#.into()),
        (labels("-a", "x"), r#".matchLabels: "-a" is not a label key: it must begin and end with a letter or digit"#.into()),
        (labels(&long, "x"), format!(r#".matchLabels: "{long}" is not a label key: it is longer than 63 characters"#)),
        (labels("a", &long), format!(r#".matchLabels.a: "{long}" is not a label value: it is longer than 63 characters"#)),
        (labels("a", "b c"), r#".matchLabels.a: "b c" is not a label value: only letters, digits, '-', '_' and '.' may stand in it"#.into()),
        (labels("a", "é"), r#".matchLabels.a: "é" is not a label value: only letters, digits, '-', '_' and '.' may stand in it"#.into()),
        (expression(json!({"operator": "Exists"})), ".matchExpressions[0].key: is required".into()),
        (expression(json!({"key": "a"})), ".matchExpressions[0].operator: is required".into()),
        (expression(json!({"key": "a", "operator": "Equals"})), r#".matchExpressions[0].operator: operator "Equals" is unknown; choose from: In, NotIn, Exists, DoesNotExist"#.into()),
        (expression(json!({"key": "a", "operator": "In"})), ".matchExpressions[0].values: operator In needs at least one value".into()),
        (expression(json!({"key": "a", "operator": "NotIn", "values": []})), ".matchExpressions[0].values: operator NotIn needs at least one value".into()),
        (expression(json!({"key": "a", "operator": "Exists", "values": ["x"]})), ".matchExpressions[0].values: operator Exists takes no values; choose from: In, NotIn to compare values".into()),
        (expression(json!({"key": "a", "operator": "DoesNotExist", "values": ["x"]})), ".matchExpressions[0].values: operator DoesNotExist takes no values; choose from: In, NotIn to compare values".into()),
        (expression(json!({"key": "a", "operator": "In", "values": ["x", "y/"]})), r#".matchExpressions[0].values[1]: "y/" is not a label value: only letters, digits, '-', '_' and '.' may stand in it"#.into()),
    ] {
        assert_eq!(error(json!({"podSelector": selector})), format!("spec.podSelector{expected}"));
    }
    let everywhere = [
        (json!({"podSelector": labels("-", "x")}), "podSelector"),
        (json!({"namespaceSelector": labels("-", "x")}), "namespaceSelector"),
    ];
    for (peer, field) in everywhere {
        let message = error(with_peer(&peer));
        assert!(message.starts_with(&format!("spec.ingress[0].from[0].{field}.matchLabels: ")), "{message}");
    }
}

#[test]
fn all_that_is_wrong_is_told_in_the_order_of_the_fields_and_nothing_that_only_follows() {
    let spec = json!({
        "podSelector": {
            "matchLabels": {"a b": "c d", "tier": "x y"},
            "matchExpressions": [
                {"operator": "in", "values": ["-"]}, {"key": "app", "operator": "Exists", "values": ["web"]},
            ],
        },
        "policyTypes": ["ingress", "Egress", "Both"],
        "ingress": [
            {"from": [{}, {"podSelector": {"matchLabels": {"app": "?"}}, "ipBlock": {"except": ["10.1.0.0"]}}]},
            {"ports": [{"protocol": "tcp", "port": 0, "endPort": 70000}, {"port": "80", "endPort": 90}, {"port": 80}]},
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8", "10.0.0.0/8"]}}]}],
    });
    let told = error(spec);
    let syntax = "only letters, digits, '-', '_' and '.' may stand in it";
    let expected = [
        format!(r#"podSelector.matchLabels: "a b" is not a label key: {syntax}"#),
        format!(r#"podSelector.matchLabels: "c d" is not a label value: {syntax}"#),
        format!(r#"podSelector.matchLabels.tier: "x y" is not a label value: {syntax}"#),
        "podSelector.matchExpressions[0].key: is required".into(),
        r#"podSelector.matchExpressions[0].operator: operator "in" is unknown; choose from: In, NotIn, Exists, DoesNotExist"#.into(),
        r#"podSelector.matchExpressions[0].values[0]: "-" is not a label value: it must begin and end with a letter or digit"#.into(),
        "podSelector.matchExpressions[1].values: operator Exists takes no values; choose from: In, NotIn to compare values".into(),
        "policyTypes: 3 policy types are too many; choose at most two from: Ingress, Egress".into(),
        r#"policyTypes[0]: policy type "ingress" is unknown; choose from: Ingress, Egress"#.into(),
        r#"policyTypes[2]: policy type "Both" is unknown; choose from: Ingress, Egress"#.into(),
        "ingress[0].from[0]: the peer is empty; choose from: podSelector, namespaceSelector, both of these, ipBlock; for every peer leave the list out".into(),
        "ingress[0].from[1]: ipBlock stands together with a selector; write them as two peers".into(),
        format!(r#"ingress[0].from[1].podSelector.matchLabels.app: "?" is not a label value: {syntax}"#),
        "ingress[0].from[1].ipBlock.cidr: is required".into(),
        r#"ingress[0].from[1].ipBlock.except[0]: "10.1.0.0" is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32"#.into(),
        r#"ingress[1].ports[0].protocol: protocol "tcp" is unknown; choose from: TCP, UDP, SCTP"#.into(),
        "ingress[1].ports[0].port: port 0 is out of range; choose from: 1 to 65535".into(),
        "ingress[1].ports[0].endPort: port 70000 is out of range; choose from: 1 to 65535".into(),
        r#"ingress[1].ports[1].port: "80" is text; write the port number without quotes"#.into(),
        r#"egress[0].to[0].ipBlock.except[0]: "11.0.0.0/8" does not lie strictly inside 10.0.0.0/8"#.into(),
        r#"egress[0].to[0].ipBlock.except[1]: "10.0.0.0/8" does not lie strictly inside 10.0.0.0/8"#.into(),
    ];
    let expected: Vec<String> = expected.into_iter().map(|line: String| "spec.".to_owned() + &line).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}
