//! Random clusters of few names, labels, bits and ports, so that things meet often. Policies are made as the API has
//! them, in JSON: defaults left out, lists absent, null or empty.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use palomar_model::labels::Labels;
use palomar_model::netpol::IpBlock;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::{NamedPort, NamedPorts};
use palomar_model::world::{Namespace, World};
use palomar_policy::IdentityLabels;
use palomar_policy::draft::NetworkPolicyDraft;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A cluster, as the API tells it and as the crate knows it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Namespaces and policies.
    pub world: World,
    /// The same policies as the API has them: name and spec.
    pub specs: Vec<(ObjectName, Value)>,
    pub pods: Vec<Pod>,
}

/// A pod with an internal identity of its own.
#[derive(Debug, Clone)]
pub struct Pod {
    pub identity: u32,
    pub labels: IdentityLabels,
    /// One of each family.
    pub addresses: [IpAddr; 2],
}

const NAMESPACES: [&str; 2] = ["a", "b"];
const KEYS: [&str; 2] = ["k", "l"];
const VALUES: [&str; 2] = ["1", "2"];
const PORT_NAMES: [&str; 2] = ["http", "dns"];
/// Ends of the port space, neighbours, and powers of two with what stands beside them.
const PORTS: [u16; 11] = [1, 2, 79, 80, 81, 1023, 1024, 8191, 32_768, 65_534, 65_535];

pub fn cluster() -> impl Strategy<Value = Cluster> {
    let namespaces = vec(labels(), NAMESPACES.len());
    let pod = (select(&NAMESPACES[..]), labels(), named_ports(), 0..8_u8);
    let policies = vec((select(&NAMESPACES[..]), spec()), 0..6);
    (namespaces, vec(pod, 1..4), policies).prop_map(|(namespaces, pods, policies)| {
        let mut world = World::default();
        for (name, labels) in NAMESPACES.into_iter().zip(namespaces) {
            world.namespaces.insert(name.into(), Arc::new(Namespace { name: name.into(), labels }));
        }
        let names = (0..).zip(policies).map(|(number, (namespace, spec)): (u32, _)| {
            (ObjectName::new(namespace, format!("p{number}")), spec)
        });
        let specs: Vec<_> = names.collect();
        for (name, spec) in &specs {
            let shape = Some(serde_json::from_value(spec.clone()).expect("the shape of a spec"));
            let draft = NetworkPolicyDraft { name: name.clone(), spec: shape };
            world.policies.insert(name.clone(), Arc::new(draft.validate().expect("a valid policy")));
        }
        let pods = (0..).zip(pods).map(|(number, (namespace, pod_labels, named_ports, bits))| {
            let labels = IdentityLabels {
                namespace: namespace.into(),
                namespace_labels: Arc::new(world.namespace_labels(namespace)),
                pod_labels: Arc::new(pod_labels),
                named_ports,
            };
            Pod { identity: 1000 + number, labels, addresses: [v4(bits, number), v6(bits, number)] }
        });
        Cluster { pods: pods.collect(), specs, world }
    })
}

/// Every address that blocks can tell apart, of both families: their first three bits. None is a pod's.
pub fn world_addresses() -> impl Iterator<Item = IpAddr> {
    (0..8_u8).flat_map(|bits| [v4(bits, 0xff), v6(bits, 0xff)])
}

fn v4(bits: u8, low: u32) -> IpAddr {
    Ipv4Addr::from((u32::from(bits) << 29) | low).into()
}

fn v6(bits: u8, low: u32) -> IpAddr {
    Ipv6Addr::from((u128::from(bits) << 125) | u128::from(low)).into()
}

fn labels() -> impl Strategy<Value = Labels> {
    vec(option::of(select(&VALUES[..])), KEYS.len()).prop_map(|values| {
        let pairs = KEYS.into_iter().zip(values);
        pairs.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    })
}

fn named_ports() -> impl Strategy<Value = NamedPorts> {
    let port = (select(&PORT_NAMES[..]), protocol(), select(&PORTS[..]));
    vec(port, 0..6).prop_map(|ports| {
        let named =
            |(name, protocol, number): (&str, _, _)| NamedPort { name: name.to_owned(), protocol, number };
        ports.into_iter().map(named).collect()
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

/// An object of those fields that are there.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// An optional list: absent, null, or there, empty maybe.
fn list(item: impl Strategy<Value = Value> + 'static, most: usize) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        6 => vec(item, 0..=most).prop_map(|items| Some(Value::Array(items))),
    ]
}

fn selector() -> impl Strategy<Value = Value> {
    let key = || select(&KEYS[..]);
    let values = || vec(select(&VALUES[..]), 1..=2);
    let expression = prop_oneof![
        (key(), values()).prop_map(|(key, values)| json!({"key": key, "operator": "In", "values": values})),
        (key(), values())
            .prop_map(|(key, values)| json!({"key": key, "operator": "NotIn", "values": values})),
        key().prop_map(|key| json!({"key": key, "operator": "Exists"})),
        key().prop_map(|key| json!({"key": key, "operator": "DoesNotExist", "values": []})),
    ];
    let labels = labels().prop_map(|labels| labels.into_iter().collect::<BTreeMap<_, _>>());
    (option::weighted(0.3, labels), list(expression, 2)).prop_map(|(labels, expressions)| {
        object([("matchLabels", labels.map(|labels| json!(labels))), ("matchExpressions", expressions)])
    })
}

/// Family, bits and length of a range of addresses.
fn net() -> impl Strategy<Value = (bool, u8, u8)> {
    (any::<bool>(), 0..8_u8, select(vec![0, 0, 1, 1, 2, 3]))
}

fn cidr((is_v4, bits, length): (bool, u8, u8)) -> String {
    let kept = bits & leading(length);
    let address = if is_v4 { v4(kept, 0) } else { v6(kept, 0) };
    format!("{address}/{length}")
}

/// The first `length` of three bits.
fn leading(length: u8) -> u8 {
    0b111 & (0b111 << (3 - length))
}

fn ip_block() -> impl Strategy<Value = Value> {
    let inside = vec((0..8_u8, 1..=3_u8), 0..3);
    (net(), inside).prop_map(|((is_v4, bits, length), inside)| {
        let outer = leading(length);
        let except = inside
            .into_iter()
            .filter(|(_, inner)| *inner > length)
            .map(|(inner_bits, inner)| cidr((is_v4, (bits & outer) | (inner_bits & !outer), inner)));
        let except: Vec<_> = except.collect();
        json!({"cidr": cidr((is_v4, bits, length)), "except": except})
    })
}

fn peer() -> impl Strategy<Value = Value> {
    prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(), selector())
            .prop_map(|(namespaces, pods)| json!({"namespaceSelector": namespaces, "podSelector": pods})),
        ip_block().prop_map(|block| json!({"ipBlock": block})),
        ip_block().prop_map(|block| json!({"ipBlock": block})),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let protocol = option::of(protocol().prop_map(|protocol| json!(protocol.to_string())));
    let number = select(&PORTS[..]);
    let port = prop_oneof![
        2 => Just((None, None)),
        3 => number.clone().prop_map(|port| (Some(json!(port)), None)),
        4 => (number.clone(), number).prop_map(|(one, other)| {
            (Some(json!(one.min(other))), Some(json!(one.max(other))))
        }),
        6 => select(&PORT_NAMES[..]).prop_map(|name| (Some(json!(name)), None)),
    ];
    (protocol, port).prop_map(|(protocol, (port, end))| {
        object([("protocol", protocol), ("port", port), ("endPort", end)])
    })
}

fn rule(side: &'static str) -> impl Strategy<Value = Value> {
    (list(peer(), 2), list(port(), 2))
        .prop_map(move |(peers, ports)| object([(side, peers), ("ports", ports)]))
}

fn spec() -> impl Strategy<Value = Value> {
    let types = select(vec![
        None,
        Some(json!(null)),
        Some(json!([])),
        Some(json!(["Ingress"])),
        Some(json!(["Egress"])),
        Some(json!(["Egress", "Ingress"])),
    ]);
    (selector(), types, list(rule("from"), 2), list(rule("to"), 2)).prop_map(
        |(pod_selector, types, ingress, egress)| {
            object([
                ("podSelector", Some(pod_selector)),
                ("policyTypes", types),
                ("ingress", ingress),
                ("egress", egress),
            ])
        },
    )
}

/// An ipBlock of a policy that is yet to come, or has gone.
pub fn block() -> impl Strategy<Value = IpBlock> {
    ip_block().prop_map(|block| {
        let nets = |value: &Value| value.as_str().expect("a CIDR").parse().expect("a CIDR");
        let mut except: Vec<_> = block["except"].as_array().into_iter().flatten().map(nets).collect();
        except.sort();
        except.dedup();
        IpBlock { cidr: nets(&block["cidr"]), except }
    })
}
