//! Objects written by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palomar_manifest::{Object, ObjectKey, parse};
use palomar_model::labels::Labels;
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::Protocol;
use palomar_model::ports::{NamedPort, NamedPorts};
use palomar_model::world::{Namespace, Node, Pod, Service, ServicePort, Stage, TargetPort};

fn address(text: &str) -> IpAddr {
    text.parse().expect("a test writes right addresses")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn ports(ports: &[(&str, Protocol, u16)]) -> NamedPorts {
    let named = |(name, protocol, number): &(&str, _, _)| NamedPort {
        name: (*name).to_owned(),
        protocol: *protocol,
        number: *number,
    };
    ports.iter().map(named).collect()
}

fn port(name: &str, protocol: Protocol, port: u16, target: TargetPort) -> ServicePort {
    ServicePort { name: name.to_owned(), protocol, port, target, node_port: None }
}

fn service(name: &str) -> Service {
    Service::new(demo(name))
}

fn demo(name: &str) -> ObjectName {
    ObjectName::new("np-demo", name)
}

#[test]
fn every_field_that_is_read_arrives() {
    let manifest = parse("table.yaml", include_str!("table.yaml"));
    assert_eq!(manifest.errors, []);
    assert_eq!(manifest.ignored, BTreeMap::from([("apps/v1 Deployment".to_owned(), 1)]));
    let by_key: BTreeMap<ObjectKey, Object> =
        manifest.objects.into_iter().map(|found| (found.key, found.object)).collect();
    let app = labels(&[("app", "web"), ("pod-template-hash", "5d9c")]);

    let expected = [
        Object::Namespace(Namespace {
            name: "np-demo".into(),
            labels: labels(&[("kubernetes.io/metadata.name", "np-demo"), ("team", "a")]),
        }),
        Object::Pod(Pod {
            name: demo("web-5d9c-x"),
            uid: String::new(),
            labels: app.clone(),
            service_account: "robot".into(),
            node: "n1".into(),
            host_network: false,
            addresses: vec![address("10.1.0.1"), address("fd00::1")],
            stage: Stage::Alive,
            is_ready: true,
            workload: Some(Workload { name: "web".into(), kind: "Deployment".into() }),
            named_ports: ports(&[
                ("http", Protocol::Tcp, 8080),
                ("http", Protocol::Tcp, 8081),
                ("dns", Protocol::Udp, 53),
                ("proxy", Protocol::Sctp, 15_001),
            ]),
        }),
        Object::Pod(Pod { labels: app, host_network: true, stage: Stage::Ended, ..Pod::new(demo("done")) }),
        Object::Service(Service {
            cluster_ips: vec![address("10.96.0.9"), address("fd96::9")],
            ports: vec![
                port("http", Protocol::Tcp, 80, TargetPort::Number(80)),
                port("dns", Protocol::Udp, 53, TargetPort::Named("dns".into())),
                port("alt", Protocol::Tcp, 8080, TargetPort::Number(80)),
            ],
            selector: Some(labels(&[("app", "web")])),
            ..service("web")
        }),
        Object::Service(service("headless")),
        Object::Node(Node {
            name: "n1".into(),
            addresses: vec![address("192.168.1.1")],
            labels: Labels::new(),
        }),
    ];
    let keys = [
        ObjectKey::Namespace("np-demo".into()),
        ObjectKey::Pod(demo("web-5d9c-x")),
        ObjectKey::Pod(demo("done")),
        ObjectKey::Service(demo("web")),
        ObjectKey::Service(demo("headless")),
        ObjectKey::Node("n1".into()),
    ];
    for (key, object) in keys.iter().zip(&expected) {
        assert_eq!(by_key.get(key), Some(object), "{key}");
    }
    assert!(
        by_key.contains_key(&ObjectKey::Pod(ObjectName::new("default", "bare"))),
        "the default namespace"
    );
    assert!(by_key.contains_key(&ObjectKey::NetworkPolicy(demo("web"))));
    assert_eq!(by_key.len(), expected.len() + 2);
}

#[test]
fn nothing_is_kept_of_an_object_but_what_is_read() {
    let manifest = parse("table.yaml", include_str!("table.yaml"));
    assert!(manifest.objects.iter().all(|object| !object.source.contains("hunter2")));
    let bare = manifest.objects.iter().find(|object| object.key.to_string() == "Pod default/bare").unwrap();
    assert_eq!(bare.source, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bare"}}"#);
}

#[test]
fn a_file_without_objects_is_good_and_empty() {
    for text in ["", "---\n", "# only words\n", "---\n---\n", "null\n"] {
        let manifest = parse("empty.yaml", text);
        assert_eq!((manifest.objects.len(), manifest.errors.len()), (0, 0), "{text:?}");
    }
}
