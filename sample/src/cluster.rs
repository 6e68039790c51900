//! Who is there: pods on several nodes, seen from one of them, services, and what is outside.

mod names;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::{Identity, PodIdentityParts};
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::world::Namespace;

use self::names::{APPLICATIONS, Kind, SYSTEM, Tier};
use crate::random::Random;

/// Pods live on this many nodes; those of the first are local.
const NODES: u32 = 6;

/// The cluster. It is the same for the same seed.
#[derive(Debug, Clone)]
pub struct Cluster {
    pods: Vec<Pod>,
    services: Vec<Service>,
    outside: Vec<Outside>,
    host: Outside,
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// As flows show it. Its endpoint number is 0 where the pod is on another node.
    pub endpoint: Arc<FlowEndpoint>,
    /// Its IPv4 and its IPv6 address.
    pub addresses: [IpAddr; 2],
    /// Index and name of the node's end of its veth; `None` where the pod is on another node.
    pub interface: Option<(u32, Arc<str>)>,
    /// The port that it serves.
    pub port: u16,
    /// Whether policies isolate it, in both directions.
    pub isolated: bool,
    /// The policy that allows what it may do.
    pub allowing: Arc<[PolicyRef]>,
    /// The policies that isolate it.
    pub isolating: Arc<[PolicyRef]>,
}

/// A service, before one tier of pods.
#[derive(Debug, Clone)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// Its IPv4 and its IPv6 address.
    pub addresses: [IpAddr; 2],
    /// Its port.
    pub port: u16,
}

/// Something that is no pod.
#[derive(Debug, Clone)]
pub struct Outside {
    /// As flows show it.
    pub endpoint: Arc<FlowEndpoint>,
    /// An IPv4 and an IPv6 address of it; for what is outside of the cluster the first of a range of 64.
    pub addresses: [IpAddr; 2],
}

// === impl Cluster ===

impl Cluster {
    /// The name of the cluster.
    pub const NAME: &'static str = "sample";
    /// The name of the node from which it is seen.
    pub const NODE: &'static str = "worker-1";

    /// The cluster of a seed: 244 pods in 21 namespaces, 41 of them on this node.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut pods = Vec::new();
        let mut services = Vec::new();
        for (namespace, tiers) in names::namespaces() {
            for tier in tiers {
                let first = count(&pods);
                pods.extend(
                    (0..tier.replicas).map(|replica| pod(first, replica, namespace, tier, &mut random)),
                );
                if tier.has_service {
                    services.push(service(count(&services), namespace, tier));
                }
            }
        }
        Self { pods, services, outside: outside(), host: host() }
    }

    /// All pods: those of a tier one after the other.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// All services; the first is the cluster's DNS.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// What is outside of the cluster: CIDRs that policies name, and the rest of the world.
    pub fn outside(&self) -> &[Outside] {
        &self.outside
    }

    /// The node itself.
    pub const fn host(&self) -> &Outside {
        &self.host
    }

    /// The labels of the node.
    pub fn node_labels() -> Labels {
        names::NODE_LABELS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }
}

// === impl Pod ===

impl Pod {
    /// Whether it is on the node from which the cluster is seen.
    pub const fn is_local(&self) -> bool {
        self.interface.is_some()
    }
}

fn count<T>(things: &[T]) -> u32 {
    u32::try_from(things.len()).expect("invariant: a sample is small")
}

/// `first` is the number of the tier's first pod.
fn pod(first: u32, replica: u32, namespace: &str, tier: &Tier, random: &mut Random) -> Pod {
    let number = first + replica;
    let workload = tier.workload(namespace);
    let name = match tier.kind {
        Kind::Deployment => {
            // the hash of the rollout is shared by all replicas
            let mut rollout = Random::new(first.into());
            format!("{workload}-{}-{}", names::suffix(10, &mut rollout), names::suffix(5, random))
        }
        Kind::StatefulSet => format!("{workload}-{replica}"),
    };
    let node = number % NODES;
    let is_local = node == 0;
    let labels = PodIdentityParts {
        cluster: Cluster::NAME,
        namespace,
        namespace_labels: &Namespace::default_labels(namespace),
        service_account: &workload,
        pod_labels: &tier.labels(namespace),
    };
    let policy = |name: &str| PolicyRef::network_policy(ObjectName::new(namespace, name));
    let place = 10 + number / NODES;
    Pod {
        endpoint: Arc::new(FlowEndpoint {
            id: if is_local { 200 + number * 16 } else { 0 },
            identity: Identity(10_000 + first * 13),
            labels: labels.labels(),
            pod: Some(ObjectName::new(namespace, name)),
            workload: Some(Workload { name: workload.clone(), kind: tier.kind.name().to_owned() }),
            cluster: Arc::from(Cluster::NAME),
        }),
        addresses: [
            Ipv4Addr::from_bits(0x0af4_0000 + node * 256 + place).into(),
            Ipv6Addr::from_bits(0xfd00_0010_0244_u128 << 80 | u128::from(node) << 64 | u128::from(place))
                .into(),
        ],
        interface: is_local.then(|| (4 + number, Arc::from(format!("veth{:08x}", random.below(u32::MAX))))),
        port: tier.port,
        isolated: number / NODES % 10 < 7,
        allowing: Arc::new([policy(&format!("{workload}-allow"))]),
        isolating: Arc::new([policy("default-deny"), policy(&format!("{workload}-allow"))]),
    }
}

fn service(number: u32, namespace: &str, tier: &Tier) -> Service {
    Service {
        name: ObjectName::new(namespace, tier.service_name(namespace)),
        addresses: [
            Ipv4Addr::from_bits(0x0a60_000a + number).into(),
            Ipv6Addr::from_bits(0xfd00_0010_0096_u128 << 80 | u128::from(number + 10)).into(),
        ],
        port: tier.port,
    }
}

fn outside() -> Vec<Outside> {
    let endpoint = |identity, labels| {
        let labels = LabelSet::new(labels);
        Arc::new(FlowEndpoint { id: 0, identity, labels, pod: None, workload: None, cluster: Arc::from("") })
    };
    let addresses =
        |v4: &str, v6: &str| [v4, v6].map(|text| text.parse().expect("invariant: these are addresses"));
    let class = |number, v4: &str, v6: &str, cidr: &str| Outside {
        endpoint: endpoint(
            Identity(Identity::CIDR_BASE + number),
            vec![Label::cidr(cidr), Label::reserved("world")],
        ),
        addresses: addresses(v4, v6),
    };
    vec![
        class(1, "198.51.100.0", "2001:db8:1::", "198.51.100.0/24"),
        class(2, "198.51.100.128", "2001:db8:2::", "198.51.100.128/25"),
        class(3, "192.0.2.0", "2001:db8:3::", "2001:db8::/32"),
        Outside {
            endpoint: endpoint(Identity::WORLD, vec![Label::reserved("world")]),
            addresses: addresses("203.0.113.0", "2001:db8:f::"),
        },
    ]
}

fn host() -> Outside {
    Outside {
        endpoint: Arc::new(FlowEndpoint {
            id: 0,
            identity: Identity::HOST,
            labels: LabelSet::new(vec![Label::reserved("host")]),
            pod: None,
            workload: None,
            cluster: Arc::from(Cluster::NAME),
        }),
        addresses: [
            Ipv4Addr::new(10, 244, 0, 1).into(),
            Ipv6Addr::from_bits(0xfd00_0010_0244_u128 << 80 | 1).into(),
        ],
    }
}

// APPLICATIONS and SYSTEM are read through `names::namespaces`; their sizes make the 244 pods.
const _: () = assert!(names::count(&APPLICATIONS) * 20 + names::count(&SYSTEM) == 244, "244 pods");
