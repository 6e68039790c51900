//! What a real API server (v1.36) answered, as `kubectl get -o json` would print it.

use palomar_manifest::{Manifest, Object, ObjectKey, parse};
use palomar_model::netpol::Ports;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;

fn good(name: &str, text: &str) -> Manifest {
    let manifest = parse(name, text);
    assert_eq!(manifest.errors, [], "{name}");
    manifest
}

#[test]
fn pods_of_an_api_server_are_read() {
    let manifest = good("pods.json", include_str!("fixtures/pods-list.json"));
    let names: Vec<_> = manifest.objects.iter().map(|object| object.key.to_string()).collect();
    assert_eq!(names[..2], ["Pod shop/db", "Pod shop/p1"]);
    let Object::Pod(db) = &manifest.objects[0].object else { panic!("not a pod") };
    assert_eq!(db.labels.get("app").map(String::as_str), Some("db"));
    assert_eq!(db.uid, "fd3c1234-53c6-4798-9ecb-a33ecde26bc4");
    assert_eq!((db.node.as_str(), db.service_account.as_str()), ("node2", "default"));
    assert!(db.addresses.is_empty() && !db.host_network && db.workload.is_none());
    assert_eq!(manifest.objects[0].line, 8, "the line of its opening brace");
    assert!(!manifest.objects[0].source.contains("last-applied"), "annotations are not kept");
}

#[test]
fn services_namespaces_and_nodes_of_an_api_server_are_read() {
    let services = good("services.json", include_str!("fixtures/svc-list.json"));
    let Object::Service(web) = &services.objects[1].object else { panic!("not a service") };
    assert_eq!(web.name, ObjectName::new("shop", "web"));
    assert_eq!(web.cluster_ips, ["10.96.114.237".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(
        (web.ports[0].name.as_str(), web.ports[0].protocol, web.ports[0].port),
        ("http", Protocol::Tcp, 80)
    );
    assert!(web.selector.as_ref().unwrap().contains_key("app"));

    let namespaces = good("namespaces.json", include_str!("fixtures/ns-list.json"));
    assert!(namespaces.named.contains(&ObjectKey::Namespace("shop".into())));
    let nodes = good("nodes.json", include_str!("fixtures/nodes-list.json"));
    assert_eq!(nodes.named, [ObjectKey::Node("node1".into())].into());
}

#[test]
fn policies_of_an_api_server_are_read_their_named_port_included() {
    let manifest = good("policies.json", include_str!("fixtures/netpol-list.json"));
    let Object::NetworkPolicy(policy) = &manifest.objects[0].object else { panic!("not a policy") };
    assert_eq!(policy.name, ObjectName::new("shop", "allow-web"));
    let [rule] = policy.ingress.as_deref().expect("isolated") else { panic!("not one rule") };
    assert_eq!(rule.ports[0].ports, Ports::Named("http".into()));
}

#[test]
fn the_source_of_an_object_makes_the_same_object() {
    let texts = [
        include_str!("fixtures/pods-list.json"),
        include_str!("fixtures/svc-list.json"),
        include_str!("fixtures/slices-list.json"),
        include_str!("fixtures/ns-list.json"),
        include_str!("fixtures/nodes-list.json"),
        include_str!("table.yaml"),
        include_str!("services.yaml"),
        include_str!("fixtures/netpol-list.json"),
    ];
    for text in texts {
        for object in good("recorded", text).objects {
            let again = good("source", &object.source).objects.remove(0);
            assert_eq!((&again.key, &again.object), (&object.key, &object.object));
            assert_eq!(again.source, object.source);
        }
    }
}
