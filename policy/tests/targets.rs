//! Where the addresses and node ports of services lead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::world::{Pod, Service, ServicePort, TargetPort, World};
use palomar_policy::service::{Leads, Targets, node_ports, targets};

fn address(text: &str) -> IpAddr {
    text.parse().expect("a test writes right addresses")
}

fn labels(app: &str) -> Labels {
    Labels::from([("app".to_owned(), app.to_owned())])
}

/// The pods `web-1` with `http` on 8080, `web-2` without it, `db`, and one that has ended.
fn world(services: Vec<Service>) -> World {
    let http = NamedPort { name: "http".into(), protocol: Protocol::Tcp, number: 8080 };
    let mut world = World::default();
    for (name, app, addresses, ports, has_ended) in [
        ("web-1", "web", vec!["10.1.0.1", "fd00::1"], vec![http], false),
        ("web-2", "web", vec!["10.1.0.2"], vec![], false),
        ("web-3", "web", vec!["10.1.0.3"], vec![], true),
        ("db", "db", vec!["10.1.0.9"], vec![], false),
    ] {
        let pod = Pod {
            labels: labels(app),
            addresses: addresses.into_iter().map(address).collect(),
            named_ports: ports.into_iter().collect(),
            has_ended,
            ..Pod::new(ObjectName::new("shop", name))
        };
        world.pods.insert(pod.name.clone(), Arc::new(pod));
    }
    world.services.extend(services.into_iter().map(|service| (service.name.clone(), Arc::new(service))));
    world
}

fn service(name: &str, app: &str, ports: Vec<ServicePort>) -> Service {
    Service {
        name: ObjectName::new("shop", name),
        cluster_ips: vec![],
        external_addresses: vec![],
        keeps_source: false,
        ports,
        selector: Some(labels(app)),
    }
}

fn port(port: u16, target: TargetPort, node_port: Option<u16>) -> ServicePort {
    ServicePort { name: String::new(), protocol: Protocol::Tcp, port, target, node_port }
}

/// A port, whether the source is kept, and the backends.
type PortLeads<'a> = (u16, bool, &'a [(&'a str, u16)]);

fn leads(ports: &[PortLeads<'_>]) -> Targets {
    let of = |(number, keeps_source, backends): &PortLeads<'_>| {
        let backends: BTreeSet<_> = backends.iter().map(|(own, port)| (address(own), *port)).collect();
        ((Protocol::Tcp, *number), Leads { backends, keeps_source: *keeps_source })
    };
    ports.iter().map(of).collect()
}

fn web() -> Service {
    let http = TargetPort::Named("http".into());
    Service {
        cluster_ips: vec![address("10.96.0.1"), address("fd96::1")],
        external_addresses: vec![address("192.0.2.1")],
        ..service("web", "web", vec![port(80, TargetPort::Number(80), Some(30_080)), port(81, http, None)])
    }
}

#[test]
fn an_external_address_leads_where_the_cluster_addresses_lead_and_keeps_the_source_only_if_told() {
    for keeps_source in [false, true] {
        let world = world(vec![Service { keeps_source, ..web() }]);
        let both: &[_] = &[("10.1.0.1", 80), ("10.1.0.2", 80)];
        let named: &[_] = &[("10.1.0.1", 8080)];
        let expected = BTreeMap::from([
            (address("10.96.0.1"), leads(&[(80, true, both), (81, true, named)])),
            (address("fd96::1"), leads(&[(80, true, &[("fd00::1", 80)]), (81, true, &[("fd00::1", 8080)])])),
            (address("192.0.2.1"), leads(&[(80, keeps_source, both), (81, keeps_source, named)])),
        ]);
        assert_eq!(targets(&world), expected);
    }
}

#[test]
fn a_node_port_leads_to_the_pods_of_its_family() {
    for keeps_source in [false, true] {
        let world = world(vec![Service { keeps_source, ..web() }]);
        let four = leads(&[(30_080, keeps_source, &[("10.1.0.1", 80), ("10.1.0.2", 80)])]);
        assert_eq!(node_ports(&world, true), four);
        assert_eq!(node_ports(&world, false), leads(&[(30_080, keeps_source, &[("fd00::1", 80)])]));
    }
}

#[test]
fn a_port_without_pods_leads_nowhere_and_a_service_without_a_selector_is_left_out() {
    let ports = || vec![port(80, TargetPort::Number(80), Some(30_080))];
    let nobody = Service { cluster_ips: vec![address("10.96.0.2")], ..service("nobody", "nobody", ports()) };
    let bare = Service {
        cluster_ips: vec![address("10.96.0.3")],
        external_addresses: vec![address("192.0.2.3")],
        selector: None,
        ..service("bare", "", vec![port(80, TargetPort::Number(80), Some(30_081))])
    };
    let world = world(vec![nobody, bare]);
    assert_eq!(targets(&world), BTreeMap::from([(address("10.96.0.2"), leads(&[(80, true, &[])]))]));
    assert_eq!(node_ports(&world, true), leads(&[(30_080, false, &[])]));
}

#[test]
fn a_port_that_two_services_claim_leads_to_the_pods_of_both() {
    let claiming = |name, app, keeps_source, number| Service {
        external_addresses: vec![address("192.0.2.1")],
        keeps_source,
        ..service(
            name,
            app,
            vec![port(80, TargetPort::Number(80), Some(30_080)), port(number, TargetPort::Number(90), None)],
        )
    };
    let world = world(vec![claiming("one", "web", true, 81), claiming("two", "db", false, 82)]);
    let all: &[_] = &[("10.1.0.1", 80), ("10.1.0.2", 80), ("10.1.0.9", 80)];
    let web: &[_] = &[("10.1.0.1", 90), ("10.1.0.2", 90)];
    let expected = leads(&[(80, false, all), (81, true, web), (82, false, &[("10.1.0.9", 90)])]);
    assert_eq!(targets(&world), BTreeMap::from([(address("192.0.2.1"), expected)]));
    assert_eq!(node_ports(&world, true), leads(&[(30_080, false, all)]));
}
