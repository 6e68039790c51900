//! Random clusters of few names, labels, bits and ports, so that things meet often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, PortRule, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::selector::{Requirement, Selector};
use palomar_model::world::{Namespace, World};
use palomar_policy::IdentityLabels;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Namespaces and policies, and the pods' internal identities.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub world: World,
    pub identities: Vec<(u32, IdentityLabels)>,
}

const NAMESPACES: [&str; 3] = ["a", "b", "c"];
const KEYS: [&str; 2] = ["k", "l"];
const VALUES: [&str; 2] = ["1", "2"];
/// Ends of the port space, neighbours, and powers of two with what stands beside them.
const PORTS: [u16; 11] = [1, 2, 79, 80, 81, 1023, 1024, 8191, 32_768, 65_534, 65_535];

pub fn cluster() -> impl Strategy<Value = Cluster> {
    let namespaces = vec(labels(), NAMESPACES.len());
    (namespaces, vec((select(&NAMESPACES[..]), labels()), 1..4), vec(policy(), 0..5)).prop_map(
        |(namespaces, pods, policies)| {
            let mut world = World::default();
            for (name, labels) in NAMESPACES.into_iter().zip(namespaces) {
                world.namespaces.insert(name.into(), Arc::new(Namespace { name: name.into(), labels }));
            }
            for (number, mut policy) in policies.into_iter().enumerate() {
                policy.name.name = format!("p{number}");
                world.policies.insert(policy.name.clone(), Arc::new(policy));
            }
            let identities = (1000..).zip(pods).map(|(number, (namespace, pod_labels))| {
                let labels = IdentityLabels {
                    namespace: namespace.into(),
                    namespace_labels: Arc::new(world.namespace_labels(namespace)),
                    pod_labels: Arc::new(pod_labels),
                };
                (number, labels)
            });
            Cluster { identities: identities.collect(), world }
        },
    )
}

/// Every address that blocks can tell apart, of both families: their first three bits.
pub fn addresses() -> impl Iterator<Item = IpAddr> {
    (0..8_u8).flat_map(|bits| [v4(bits), v6(bits)])
}

fn v4(bits: u8) -> IpAddr {
    Ipv4Addr::from(u32::from(bits) << 29).into()
}

fn v6(bits: u8) -> IpAddr {
    Ipv6Addr::from(u128::from(bits) << 125).into()
}

fn labels() -> impl Strategy<Value = Labels> {
    vec(option::of(select(&VALUES[..])), KEYS.len()).prop_map(|values| {
        let pairs = KEYS.into_iter().zip(values);
        pairs.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    let key = || select(&KEYS[..]).prop_map(str::to_owned);
    let values = || vec(select(&VALUES[..]).prop_map(str::to_owned), 1..=2);
    let requirement = prop_oneof![
        (key(), values()).prop_map(|(key, values)| Requirement::In(key, values)),
        (key(), values()).prop_map(|(key, values)| Requirement::NotIn(key, values)),
        key().prop_map(Requirement::Exists),
        key().prop_map(Requirement::DoesNotExist),
    ];
    vec(requirement, 0..=2).prop_map(|requirements| Selector { requirements })
}

fn net() -> impl Strategy<Value = IpNet> {
    (any::<bool>(), 0..8_u8, 0..=3_u8).prop_map(|(is_v4, bits, length)| {
        let address = if is_v4 { v4(bits) } else { v6(bits) };
        IpNet::new(address, length).expect("short").trunc()
    })
}

pub fn block() -> impl Strategy<Value = IpBlock> {
    (net(), vec(net(), 0..4)).prop_map(|(cidr, mut except)| {
        except.retain(|net| *net != cidr && cidr.contains(net));
        except.sort();
        except.dedup();
        IpBlock { cidr, except }
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        selector().prop_map(|pods| Peer::Pods { namespaces: None, pods: Some(pods) }),
        selector().prop_map(|namespaces| Peer::Pods { namespaces: Some(namespaces), pods: None }),
        (selector(), selector())
            .prop_map(|(namespaces, pods)| Peer::Pods { namespaces: Some(namespaces), pods: Some(pods) }),
        block().prop_map(Peer::Block),
        block().prop_map(Peer::Block),
    ]
}

fn port() -> impl Strategy<Value = PortRule> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let one = select(&PORTS[..]);
    let ports = option::weighted(0.8, (one.clone(), one));
    (protocol, ports).prop_map(|(protocol, ports)| {
        let ports = ports.map(|(one, other)| (one.min(other), one.max(other)));
        PortRule { protocol, ports }
    })
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let rule = (vec(peer(), 0..3), vec(port(), 0..3)).prop_map(|(peers, ports)| Rule { peers, ports });
    option::weighted(0.7, vec(rule, 0..3))
}

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    (select(&NAMESPACES[..]), selector(), rules(), rules()).prop_map(
        |(namespace, pod_selector, ingress, egress)| NetworkPolicy {
            name: ObjectName::new(namespace, ""),
            pod_selector,
            ingress,
            egress,
        },
    )
}
