//! A cluster of deployments of five pods each, spread over namespaces, and policies that select by app or everything.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_agent::enforce::{Desired, DesiredAddress, DesiredEndpoint};
use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, PortRule, Ports, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::selector::Selector;
use palomar_model::world::World;
use palomar_policy::cidr::blocks_of;
use palomar_policy::{IdentityLabels, PolicySet, select_subject};

const POLICIES: u32 = 2_000;
const NAMESPACES: u32 = 50;
const LOCAL: u32 = 1_000;
pub const REMOTE: u32 = 10_000;
const REPLICAS: u32 = 5;
pub const FIRST_IDENTITY: u32 = 1_000;

pub struct Cluster {
    pub world: World,
    pub desired: Desired,
}

impl Cluster {
    /// Nothing is selected yet.
    pub fn new() -> Self {
        let mut world = World::default();
        for number in 0..POLICIES {
            let policy = policy(number);
            world.policies.insert(policy.name.clone(), Arc::new(policy));
        }
        let mut desired = Desired::default();
        for deployment in 0..(LOCAL + REMOTE) / REPLICAS {
            desired.identities.insert(FIRST_IDENTITY + deployment, labels(&world, deployment));
        }
        for pod in 0..LOCAL + REMOTE {
            let identity = FIRST_IDENTITY + pod / REPLICAS;
            // one of eleven
            let is_local = pod % (1 + REMOTE / LOCAL) == 0;
            let endpoint = if is_local { 1 + pod } else { 0 };
            let address = IpAddr::from((0x0a00_0000 + pod * 7).to_be_bytes());
            desired.addresses.insert(address, DesiredAddress { identity, endpoint, node: false });
            if is_local {
                let policies = PolicySet::default();
                let (enforced, check_source) = (true, true);
                let wanted = DesiredEndpoint { id: endpoint, identity, policies, enforced, check_source };
                desired.endpoints.insert(100 + pod, wanted);
            }
        }
        desired.blocks = Arc::new(blocks(&world));
        Self { world, desired }
    }

    /// Selects the policies of every local pod.
    pub fn select(&mut self) {
        for endpoint in self.desired.endpoints.values_mut() {
            let labels = &self.desired.identities[&endpoint.identity];
            endpoint.policies = select_subject(&self.world, labels.subject());
        }
    }

    pub fn distinct_sets(&self) -> usize {
        self.desired.endpoints.values().map(|endpoint| &endpoint.policies).collect::<HashSet<_>>().len()
    }

    /// A deployment more.
    pub fn new_identity(&mut self) -> u32 {
        let identity = self.desired.identities.keys().last().expect("there are some") + 1;
        self.desired.identities.insert(identity, labels(&self.world, identity - FIRST_IDENTITY));
        identity
    }

    pub fn change_policy(&mut self, number: u32, change: impl FnOnce(&mut NetworkPolicy)) {
        let name = policy(number).name;
        let policy = self.world.policies.get_mut(&name).expect("it is there");
        change(Arc::make_mut(policy));
        self.select();
    }
}

fn labels(world: &World, deployment: u32) -> IdentityLabels {
    let namespace = format!("ns{}", deployment % NAMESPACES);
    let pod_labels = Labels::from([
        ("app".into(), format!("app{}", deployment / NAMESPACES % 10)),
        ("deployment".into(), deployment.to_string()),
        ("tier".into(), format!("tier{}", deployment % 3)),
    ]);
    IdentityLabels {
        namespace_labels: Arc::new(world.namespace_labels(&namespace)),
        namespace: namespace.into(),
        pod_labels: Arc::new(pod_labels),
        named_ports: NamedPorts::default(),
    }
}

/// Ingress from a tier of the namespace and from a whole namespace on a port; egress to a block and to DNS.
fn policy(number: u32) -> NetworkPolicy {
    let app = Selector::of_labels([("app", &*format!("app{}", number / 7 % 10))]);
    let port = u16::try_from(8_000 + number % 20).expect("a port");
    let ports = |protocol, port| vec![PortRule { protocol, ports: Ports::Range(port, port) }];
    let block = IpBlock {
        cidr: format!("172.{}.0.0/16", number % 50).parse().expect("a CIDR"),
        except: vec![format!("172.{}.7.0/24", number % 50).parse().expect("a CIDR")],
    };
    let other = format!("ns{}", number % 11);
    let from = vec![
        Peer::Pods { namespaces: None, pods: Some(Selector::of_labels([("tier", "tier1")])) },
        Peer::Pods {
            namespaces: Some(Selector::of_labels([("kubernetes.io/metadata.name", &*other)])),
            pods: None,
        },
    ];
    NetworkPolicy {
        name: ObjectName::new(format!("ns{}", number % NAMESPACES), format!("policy{number}")),
        pod_selector: if number.is_multiple_of(10) { Selector::default() } else { app },
        ingress: Some(vec![Rule { peers: from, ports: ports(Protocol::Tcp, port) }]),
        egress: Some(vec![
            Rule { peers: vec![Peer::Block(block)], ports: ports(Protocol::Tcp, 443) },
            Rule { peers: Vec::new(), ports: ports(Protocol::Udp, 53) },
        ]),
    }
}

fn blocks(world: &World) -> BTreeSet<IpBlock> {
    blocks_of(world.policies.values().map(|policy| &**policy)).into_iter().cloned().collect()
}
