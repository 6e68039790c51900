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
            ],
            endpoints: vec![
                Endpoint { node: "n1".into(), ..endpoint("10.1.0.1", EndpointState::Ready) },
                endpoint("192.0.2.77", EndpointState::Ready),
                endpoint("10.1.0.3", EndpointState::Ending),
                endpoint("10.1.0.4", EndpointState::Unready),
                endpoint("10.1.0.5", EndpointState::Unready),
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
