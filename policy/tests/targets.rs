//! Where the addresses and node ports of services lead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState, SlicePort};
use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::world::{Pod, Service, ServicePort, Stage, TargetPort, World};
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
            stage: if has_ended { Stage::Ended } else { Stage::Alive },
            ..Pod::new(ObjectName::new("shop", name))
        };
        world.pods.insert(pod.name.clone(), Arc::new(pod));
    }
    world.services.extend(services.into_iter().map(|service| (service.name.clone(), Arc::new(service))));
    world
}

fn service(name: &str, app: &str, ports: Vec<ServicePort>) -> Service {
    Service { ports, selector: Some(labels(app)), ..Service::new(ObjectName::new("shop", name)) }
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
        assert_eq!(targets(&world, "n1"), expected);
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
    assert_eq!(targets(&world, "n1"), BTreeMap::from([(address("10.96.0.2"), leads(&[(80, true, &[])]))]));
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
    assert_eq!(targets(&world, "n1"), BTreeMap::from([(address("192.0.2.1"), expected)]));
    assert_eq!(node_ports(&world, true), leads(&[(30_080, false, all)]));
}

fn endpoint(own: &str, state: EndpointState) -> Endpoint {
    Endpoint { address: address(own), state, node: String::new() }
}

/// A slice of the service `web`: its type, its port's name and number, and its endpoints.
fn slice(
    name: &str,
    address_type: AddressType,
    port: (&str, Option<u16>),
    endpoints: &[(&str, EndpointState)],
) -> EndpointSlice {
    let endpoint =
        |(own, state): &(&str, _)| Endpoint { address: address(own), state: *state, node: String::new() };
    EndpointSlice {
        name: ObjectName::new("shop", name),
        service: "web".into(),
        address_type,
        ports: vec![SlicePort { name: port.0.into(), protocol: Protocol::Tcp, number: port.1 }],
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

/// Where port 80 of the service `web` leads, whose port is called `http`, in the family of the address.
fn behind(own: &str, selector: Option<Labels>, slices: Vec<EndpointSlice>) -> Option<Vec<String>> {
    let http = ServicePort { name: "http".into(), ..port(80, TargetPort::Number(80), None) };
    let web = Service { cluster_ips: vec![address(own)], selector, ..service("web", "", vec![http]) };
    let mut world = world(vec![web]);
    world.endpoint_slices.extend(slices.into_iter().map(|slice| (slice.name.clone(), Arc::new(slice))));
    let found = targets(&world, "n1").remove(&address(own))?.remove(&(Protocol::Tcp, 80))?;
    Some(found.backends.iter().map(|backend| SocketAddr::from(*backend).to_string()).collect())
}

#[test]
fn slices_tell_who_stands_behind_a_service_as_nodes_take_them() {
    use AddressType::{Fqdn, Ipv4, Ipv6};
    use EndpointState::{Ending, Ready, Unready};
    let four = |name, number, endpoints: &[_]| slice(name, Ipv4, ("http", number), endpoints);
    let http = Some(8080);
    let table = [
        ("no slice and no selector", vec![], None),
        (
            "those that are ready, whoever they are",
            vec![four("a", http, &[("10.1.0.1", Ready), ("192.0.2.7", Ready), ("10.1.0.2", Unready)])],
            Some(vec!["10.1.0.1:8080", "192.0.2.7:8080"]),
        ),
        (
            "those of all slices, each with its own number",
            vec![four("a", http, &[("10.1.0.1", Ready)]), four("b", Some(81), &[("10.1.0.2", Ready)])],
            Some(vec!["10.1.0.1:8080", "10.1.0.2:81"]),
        ),
        (
            "none that ends where one is ready",
            vec![four("a", http, &[("10.1.0.1", Ending)]), four("b", http, &[("10.1.0.2", Ready)])],
            Some(vec!["10.1.0.2:8080"]),
        ),
        (
            "those that end where none is ready",
            vec![four("a", http, &[("10.1.0.1", Ending), ("10.1.0.2", Unready)])],
            Some(vec!["10.1.0.1:8080"]),
        ),
        ("a slice of nobody", vec![four("a", http, &[])], Some(vec![])),
        ("a port of another name", vec![slice("a", Ipv4, ("", http), &[("10.1.0.1", Ready)])], Some(vec![])),
        ("a port without a number", vec![four("a", None, &[("10.1.0.1", Ready)])], Some(vec![])),
        ("the other family", vec![slice("a", Ipv6, ("http", http), &[("fd00::1", Ready)])], Some(vec![])),
        ("names", vec![slice("a", Fqdn, ("http", http), &[])], None),
        (
            "a slice of another service",
            vec![EndpointSlice { service: "db".into(), ..four("a", http, &[("10.1.0.1", Ready)]) }],
            None,
        ),
        (
            "a slice of another namespace",
            vec![EndpointSlice {
                name: ObjectName::new("bank", "a"),
                ..four("a", http, &[("10.1.0.1", Ready)])
            }],
            None,
        ),
    ];
    for (what, slices, expected) in table {
        let expected: Option<Vec<String>> =
            expected.map(|expected| expected.into_iter().map(str::to_owned).collect());
        assert_eq!(behind("10.96.0.1", None, slices.clone()), expected, "{what}");
        // the selector tells only where no slice does
        let selected = ["10.1.0.1:80", "10.1.0.2:80"].map(str::to_owned).to_vec();
        assert_eq!(
            behind("10.96.0.1", Some(labels("web")), slices),
            Some(expected.unwrap_or(selected)),
            "{what}, with a selector"
        );
    }
    let six = slice("a", Ipv6, ("http", http), &[("fd00::7", Ready)]);
    assert_eq!(behind("fd96::1", None, vec![six]), Some(vec!["[fd00::7]:8080".to_owned()]));
}

#[test]
fn a_pod_that_is_not_ready_stands_behind_a_service_only_where_it_takes_such() {
    for (takes_unready, expected) in
        [(false, &[("10.1.0.1", 80)][..]), (true, &[("10.1.0.1", 80), ("10.1.0.2", 80)])]
    {
        let web = service("web", "web", vec![port(80, TargetPort::Number(80), Some(30_080))]);
        let mut world = world(vec![Service { takes_unready, ..web }]);
        let name = ObjectName::new("shop", "web-2");
        let pod = Pod { is_ready: false, ..(*world.pods[&name]).clone() };
        world.pods.insert(name, Arc::new(pod));
        assert_eq!(node_ports(&world, true), leads(&[(30_080, false, expected)]));
    }
}

#[test]
fn a_pod_that_ends_stands_behind_a_service_only_where_nobody_is_ready_or_it_takes_such_as_are_not() {
    let [one, both, other] =
        [&[("10.1.0.1", 80)][..], &[("10.1.0.1", 80), ("10.1.0.2", 80)], &[("10.1.0.2", 80)]];
    // whether web-1 and web-2 are ready, and whether they end
    for (what, takes_unready, states, expected) in [
        ("one ends, the other is ready", false, [(true, true), (true, false)], other),
        ("one ends, the other is not ready", false, [(true, true), (false, false)], one),
        ("both end", false, [(true, true), (true, true)], both),
        ("one ends and is not ready any more", false, [(false, true), (false, false)], &[]),
        ("those that are not ready are taken", true, [(true, true), (false, true)], both),
    ] {
        let web = service("web", "web", vec![port(80, TargetPort::Number(80), Some(30_080))]);
        let mut world = world(vec![Service { takes_unready, ..web }]);
        for (name, (is_ready, is_ending)) in ["web-1", "web-2"].into_iter().zip(states) {
            let name = ObjectName::new("shop", name);
            let stage = if is_ending { Stage::Ending } else { Stage::Alive };
            let pod = Pod { is_ready, stage, ..(*world.pods[&name]).clone() };
            world.pods.insert(name, Arc::new(pod));
        }
        assert_eq!(node_ports(&world, true), leads(&[(30_080, false, expected)]), "{what}");
    }
}

#[test]
fn a_service_for_its_own_node_leads_by_its_cluster_address_to_those_on_that_node_alone() {
    use EndpointState::{Ending, Ready, Unready};
    let on = |node: &str, own: &str, state| Endpoint { node: node.into(), ..endpoint(own, state) };
    let far = || on("n2", "10.1.0.2", Ready);
    for (what, ends, cluster, outside) in [
        ("its own", vec![on("n1", "10.1.0.1", Ready), far()], vec!["10.1.0.1"], vec!["10.1.0.1", "10.1.0.2"]),
        ("nobody of its own", vec![far()], vec![], vec!["10.1.0.2"]),
        (
            "of its own the one that ends",
            vec![on("n1", "10.1.0.1", Ending), far()],
            vec!["10.1.0.1"],
            vec!["10.1.0.2"],
        ),
        (
            "of its own one that is not ready",
            vec![on("n1", "10.1.0.1", Unready), far()],
            vec![],
            vec!["10.1.0.2"],
        ),
        (
            "one that is on no node",
            vec![on("", "192.0.2.7", Ready), far()],
            vec![],
            vec!["10.1.0.2", "192.0.2.7"],
        ),
    ] {
        let web = Service {
            cluster_ips: vec![address("10.96.0.1")],
            external_addresses: vec![address("192.0.2.1")],
            is_node_local: true,
            ..service("web", "web", vec![port(80, TargetPort::Number(80), Some(30_080))])
        };
        let mut world = world(vec![web]);
        let slice = EndpointSlice { endpoints: ends, ..slice("a", AddressType::Ipv4, ("", Some(80)), &[]) };
        world.endpoint_slices.insert(slice.name.clone(), Arc::new(slice));
        let found = targets(&world, "n1");
        let at = |own: &str| found[&address(own)].clone();
        let [cluster, outside]: [Vec<_>; 2] =
            [cluster, outside].map(|ends| ends.into_iter().map(|own| (own, 80)).collect());
        let of_nobody = &targets(&world, "")[&address("10.96.0.1")];
        assert_eq!(*of_nobody, leads(&[(80, true, &[])]), "{what}, from a node that is not known");
        assert_eq!(at("10.96.0.1"), leads(&[(80, true, &cluster)]), "{what}");
        assert_eq!(at("192.0.2.1"), leads(&[(80, false, &outside)]), "{what}, from outside");
        assert_eq!(node_ports(&world, true), leads(&[(30_080, false, &outside)]), "{what}, at a node");
    }
}

#[test]
fn a_pod_that_runs_nobody_says_where_is_behind_a_service_for_its_own_node_on_every_node() {
    let web = Service { is_node_local: true, ..web() };
    let mut world = world(vec![web]);
    let name = ObjectName::new("shop", "web-2");
    let pod = Pod { node: "n2".into(), ..(*world.pods[&name]).clone() };
    world.pods.insert(name, Arc::new(pod));
    for (node, expected) in [("n1", &[("10.1.0.1", 80)][..]), ("n2", &[("10.1.0.1", 80), ("10.1.0.2", 80)])] {
        let found = &targets(&world, node)[&address("10.96.0.1")];
        assert_eq!(
            found[&(Protocol::Tcp, 80)],
            leads(&[(80, true, expected)])[&(Protocol::Tcp, 80)],
            "{node}"
        );
    }
}
