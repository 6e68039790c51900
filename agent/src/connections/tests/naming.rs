//! Who is at the ends, and which policies decided.

use palomar_bpf::abi::{CONNECTION_AUDITED, CONNECTION_DENIED, CONNECTION_MASKED};
use palomar_proto::palomar::v1;

use super::fixture::*;

#[test]
fn ends_have_the_names_and_identities_that_flows_have() {
    let table = [
        ("a pod of another node", at(FRONT_VETH, (FRONT, 1000), (DB, 80), UDP), "shop/db 80"),
        (
            "who had the pod's address before it",
            at(FRONT_VETH, (FRONT, 1000), (DB, 80), UDP).idle(11),
            "10.1.0.5(0) 80",
        ),
        ("a pod that has gone", at(FRONT_VETH, (FRONT, 1000), (GONE, 80), UDP), "shop/gone 80"),
        (
            "nobody, since before that the pod has gone",
            at(FRONT_VETH, (FRONT, 1000), (GONE_BEFORE, 80), UDP),
            "10.1.0.67(2) 80",
        ),
        (
            "a pod that has gone, also where another has its address now",
            at(FRONT_VETH, (FRONT, 1000), (WEB6, 80), UDP).idle(11),
            "shop/gone 80",
        ),
        ("the node", at(FRONT_VETH, (FRONT, 1000), (NODE, 80), UDP), "10.0.0.1(1) 80"),
        ("another node", at(FRONT_VETH, (FRONT, 1000), (OTHER_NODE, 80), UDP), "10.1.0.1(6) 80"),
        ("the world", at(FRONT_VETH, (FRONT, 1000), (FAR, 80), UDP), "198.51.100.9(2) 80"),
        (
            "the world, in a policy's ipBlock",
            at(FRONT_VETH, (FRONT, 1000), (OUTSIDE, 80), UDP),
            "203.0.113.9(16777219) 80",
        ),
        ("a veth that nobody knows", at(FRONT_VETH, (FRONT, 1000), (STRAY, 80), UDP), "10.0.0.9(3) 80"),
        (
            "a node that was called, whatever its answers carry",
            at(FRONT_VETH, (FRONT, 1000), (NODE, 80), UDP).flag(CONNECTION_MASKED),
            "10.0.0.1(1) 80",
        ),
    ];
    for (name, entry, end) in table {
        let [line] = &lines(&[entry])[..] else { panic!("{name}: one line") };
        assert!(line.starts_with(&format!("shop/front 1000 > {end} unreplied")), "{name}: {line}");
    }
    let stray = at(STRAY_VETH, (STRAY, 1000), (FAR, 80), UDP);
    assert_eq!(lines(&[stray]), ["10.0.0.9(3) 1000 > 198.51.100.9(2) 80 unreplied source unspecified"]);
    let forged = at(FRONT_VETH, ("192.0.2.9", 1000), (FAR, 80), UDP);
    assert!(lines(&[forged])[0].starts_with("shop/front 1000 > "), "what the interface leads to is surer");
}

#[test]
fn a_service_is_named_by_its_cluster_address() {
    let (connections, _) =
        ask(table(&[at(FRONT_VETH, (FRONT, 1000), (VIP, 80), TCP)]), &v1::ListConnectionsRequest::default());
    let end = connections[0].destination.clone().unwrap();
    assert_eq!((end.service_namespace.as_str(), end.service_name.as_str()), ("shop", "web"));
    assert_eq!((end.address.as_str(), end.pod_name.as_str()), (VIP, ""));
    let source = connections[0].source.clone().unwrap();
    assert_eq!((source.service_namespace.as_str(), source.service_name.as_str()), ("", ""));
}

#[test]
fn each_side_names_the_policies_that_decided_there() {
    let out = at(FRONT_VETH, (FRONT, 1000), (DB, 80), TCP).open();
    let r#in = at(WEB_VETH, (WEB, 80), (DB, 1000), TCP).begun_by_peer().open();
    let cases = [
        ("allowed by nobody: not isolated", out, vec![]),
        ("allowed", out.rules(4, 8), vec!["rules-8"]),
        ("allowed by rules that are not known any more", out.rules(4, 99), vec![]),
        ("audited at its source", out.rules(4, 0).flag(CONNECTION_AUDITED), vec!["audit-4-egress"]),
        ("audited at its destination", r#in.rules(4, 0).flag(CONNECTION_AUDITED), vec!["audit-4-ingress"]),
        ("closed, by the policy of now", out.rules(4, 8).flag(CONNECTION_DENIED), vec!["deny-5-egress"]),
        ("judged either way round", out.unoriented().flag(CONNECTION_AUDITED), vec![]),
    ];
    for (name, entry, expected) in cases {
        let (connections, _) = ask(table(&[entry]), &v1::ListConnectionsRequest::default());
        let side = connections[0].source_side.as_ref().or(connections[0].destination_side.as_ref()).unwrap();
        let names: Vec<&str> = side.policies.iter().map(|policy| policy.name.as_str()).collect();
        assert_eq!(names, expected, "{name}");
        assert_eq!(side.is_audited, entry.connection.flags & CONNECTION_AUDITED != 0, "{name}");
        assert_eq!(side.is_denied, entry.connection.flags & CONNECTION_DENIED != 0, "{name}");
    }
}
