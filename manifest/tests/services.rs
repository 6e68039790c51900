//! Services of every form, and the slices that tell who stands behind them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palomar_manifest::{Object, parse};
use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState, SlicePort};
use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Pod, Service, ServicePort, Stage, TargetPort};

fn address(text: &str) -> IpAddr {
    text.parse().expect("a test writes right addresses")
}

fn demo(name: &str) -> ObjectName {
    ObjectName::new("np-demo", name)
}

fn port(name: &str, protocol: Protocol, port: u16, node_port: Option<u16>) -> ServicePort {
    ServicePort { name: name.to_owned(), protocol, port, target: TargetPort::Number(port), node_port }
}

fn service(name: &str) -> Service {
    Service::new(demo(name))
}

fn slice_port(name: &str, protocol: Protocol, number: Option<u16>) -> SlicePort {
    SlicePort { name: name.to_owned(), protocol, number }
}

fn endpoint(at: &str, state: EndpointState) -> Endpoint {
    Endpoint { address: address(at), state, node: String::new() }
}

fn services() -> Vec<Object> {
    vec![
        Object::Service(Service {
            cluster_ips: vec![address("10.96.0.10")],
            external_addresses: ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.4"].map(address).into(),
            keeps_source: true,
            ports: vec![
                port("web", Protocol::Tcp, 80, Some(30_080)),
                port("dns", Protocol::Udp, 80, Some(30_080)),
                port("later", Protocol::Tcp, 81, None),
            ],
            selector: Some(Labels::from([("app".to_owned(), "web".to_owned())])),
            ..service("open")
        }),
        Object::Service(service("headless-external")),
        Object::Service(service("elsewhere")),
        Object::Service(Service {
            cluster_ips: vec![address("10.96.0.11")],
            takes_unready: true,
            is_node_local: true,
            ..service("early")
        }),
    ]
}

fn pods_and_slices() -> Vec<Object> {
    vec![
        Object::Pod(Pod {
            addresses: vec![address("10.1.0.5")],
            is_ready: false,
            ..Pod::new(demo("starting"))
        }),
        Object::Pod(Pod {
            addresses: vec![address("10.1.0.6")],
            is_ready: false,
            ..Pod::new(demo("silent"))
        }),
        Object::Pod(Pod {
            addresses: vec![address("10.1.0.3")],
            stage: Stage::Ending,
            ..Pod::new(demo("ending"))
        }),
        Object::EndpointSlice(EndpointSlice {
            name: demo("open-x7d2p"),
            service: "open".into(),
            address_type: AddressType::Ipv4,
            ports: vec![
                slice_port("", Protocol::Tcp, Some(8080)),
                slice_port("dns", Protocol::Udp, Some(53)),
                slice_port("any", Protocol::Tcp, None),
                slice_port("zero", Protocol::Tcp, None),
            ],
            endpoints: vec![
                Endpoint { node: "n1".into(), ..endpoint("10.1.0.1", EndpointState::Ready) },
                endpoint("192.0.2.77", EndpointState::Ready),
                endpoint("10.1.0.3", EndpointState::Ending),
                endpoint("10.1.0.4", EndpointState::Unready),
                endpoint("10.1.0.5", EndpointState::Unready),
                endpoint("10.1.0.6", EndpointState::Ending),
            ],
        }),
        Object::EndpointSlice(EndpointSlice {
            name: demo("six"),
            service: String::new(),
            address_type: AddressType::Ipv6,
            ports: vec![],
            endpoints: vec![endpoint("fd00::1", EndpointState::Ready)],
        }),
        Object::EndpointSlice(EndpointSlice {
            name: demo("names"),
            service: String::new(),
            address_type: AddressType::Fqdn,
            ports: vec![],
            endpoints: vec![],
        }),
    ]
}

#[test]
fn every_form_of_a_service_arrives_and_slices_do() {
    let manifest = parse("services.yaml", include_str!("services.yaml"));
    assert_eq!(manifest.errors, []);
    assert_eq!(manifest.ignored, BTreeMap::from([("v1 Endpoints".to_owned(), 1)]));
    let found: Vec<Object> = manifest.objects.iter().map(|found| found.object.clone()).collect();
    assert_eq!(found, [services(), pods_and_slices()].concat());
    assert!(manifest.objects.iter().all(|object| !object.source.contains("hunter2")));
}

/// Nobody has recorded slices of an API server: these have the fields that its documentation and its controllers give
/// them.
#[test]
fn slices_of_the_form_that_an_api_server_lists_are_read() {
    use EndpointState::{Ending, Ready, Unready};

    let manifest = parse("slices.json", include_str!("fixtures/slices-list.json"));
    assert_eq!(manifest.errors, []);
    let on = |node: &str, at: &str, state| Endpoint { node: node.to_owned(), ..endpoint(at, state) };
    let slice =
        |(namespace, name): (&str, &str), service: &str, ports: Vec<SlicePort>, endpoints: Vec<Endpoint>| {
            let is_six = endpoints.first().is_some_and(|first| first.address.is_ipv6());
            Object::EndpointSlice(EndpointSlice {
                name: ObjectName::new(namespace, name),
                service: service.to_owned(),
                address_type: if is_six { AddressType::Ipv6 } else { AddressType::Ipv4 },
                ports,
                endpoints,
            })
        };
    let tcp = |name, number| slice_port(name, Protocol::Tcp, Some(number));
    let expected = [
        slice(
            ("default", "kubernetes"),
            "kubernetes",
            vec![tcp("https", 6443)],
            vec![endpoint("192.168.5.10", Ready)],
        ),
        slice(
            ("shop", "web-7k2xq"),
            "web",
            vec![tcp("http", 8080), tcp("metrics", 9100)],
            vec![
                on("node1", "10.244.1.5", Ready),
                on("node2", "10.244.2.7", Unready),
                on("node2", "10.244.2.8", Ending),
                on("node2", "10.244.2.9", Unready),
            ],
        ),
        slice(
            ("shop", "web-p9w4z"),
            "web",
            vec![tcp("http", 8080), tcp("metrics", 9100)],
            vec![on("node1", "fd00:10:244:1::5", Ready)],
        ),
        slice(("shop", "peers-4tq8c"), "peers", vec![tcp("", 5432)], vec![on("node1", "10.244.1.6", Ready)]),
        slice(("shop", "idle-8m5vr"), "idle", vec![], vec![]),
        slice(
            ("shop", "legacy-x2c9b"),
            "legacy",
            vec![slice_port("", Protocol::Udp, Some(514))],
            vec![endpoint("203.0.113.20", Ready), endpoint("203.0.113.21", Unready)],
        ),
    ];
    let found: Vec<Object> = manifest.objects.iter().map(|found| found.object.clone()).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_endpoint_has_a_hundred_addresses_at_most() {
    let slice = |count: u8| {
        let addresses: Vec<String> = (1..=count).map(|last| format!("10.1.0.{last}")).collect();
        let text =
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: IPv4\n";
        parse("slice.yaml", &format!("{text}endpoints: [{{addresses: [{}]}}]\n", addresses.join(", ")))
    };
    assert_eq!(slice(100).errors, []);
    let told: Vec<String> = slice(101).errors.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["slice.yaml:5: endpoints[0].addresses: 101 are too many; at most 100"]);
}
