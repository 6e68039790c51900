//! The sample cluster as the agent knows it, its traffic as the kernel tells it, and pods that come and go.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_agent::directory::{Directory, LocalEndpoint, PodEntry};
use palomar_agent::enforce::{AttributionTable, SharedAttributions};
use palomar_bpf::abi::{self, IDENTITY_HOST, IDENTITY_WORLD, PolicyWord};
use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::object::ObjectName;
use palomar_model::packet::Transport;
use palomar_model::verdict::{Direction, Verdict};
use palomar_model::world::Pod;
use palomar_policy::RuleSet;
use palomar_sample::{Cluster, Traffic};

/// The kernel's identities of pods begin here.
const FIRST_INTERNAL: u32 = 256;

/// Who is who, what the kernel's numbers mean, and who comes next.
pub struct World {
    /// What the agent knows now.
    pub directory: Directory,
    /// The meaning of policy numbers.
    pub attributions: SharedAttributions,
    numbers: Numbers,
    generation: u32,
}

/// The kernel's numbers for what flows name.
#[derive(Default)]
struct Numbers {
    identities: BTreeMap<Identity, u32>,
    policies: HashMap<Arc<[PolicyRef]>, u32>,
}

// === impl World ===

impl World {
    /// 244 pods in 21 namespaces.
    pub fn new(cluster: &Cluster) -> Self {
        let mut numbers = Numbers::default();
        let mut directory = Directory::empty(Arc::from(Cluster::NODE), Arc::from(Cluster::NAME));
        for pod in cluster.pods() {
            let internal_identity = numbers.identity(&pod.endpoint);
            let entry = Arc::new(entry(&pod.endpoint, &pod.addresses, internal_identity, 0));
            directory.pods.insert(entry.pod.name.clone(), Arc::clone(&entry));
            directory.addresses.extend(pod.addresses.iter().map(|address| (*address, Arc::clone(&entry))));
            let known = (pod.endpoint.identity, pod.endpoint.labels.clone());
            directory.identities.insert(internal_identity, known);
            if let Some((index, name)) = &pod.interface {
                let local = LocalEndpoint {
                    id: *index,
                    interface: Arc::clone(name),
                    pod: Some(entry),
                    addresses: pod.addresses.into(),
                };
                directory.endpoints.insert(*index, Arc::new(local));
            }
            numbers.policies(&pod.allowing);
            numbers.policies(&pod.isolating);
        }
        for service in cluster.services() {
            directory
                .services
                .extend(service.addresses.iter().map(|address| (*address, service.name.clone())));
        }
        directory.node_addresses.extend(cluster.host().addresses);
        let attributions = SharedAttributions::from(numbers.table(cluster));
        Self { directory, attributions, numbers, generation: 0 }
    }

    /// The kernel's events of so many flows, a microsecond from one to the next.
    pub fn events(&mut self, traffic: &mut Traffic, count: u32) -> Vec<abi::Event> {
        (0..count)
            .map(|n| self.numbers.event(&traffic.next_flow(0), 1_000_000 + u64::from(n) * 1_000))
            .collect()
    }

    /// Replaces one pod by another of the same labels and addresses, as a `StatefulSet` does; each call another pod.
    pub fn replace_a_pod(&mut self, monotonic_ns: u64) {
        self.generation += 1;
        let count = self.directory.pods.len();
        let at = usize::try_from(self.generation).unwrap() * 7 % count;
        let old = Arc::clone(self.directory.pods.values().nth(at).unwrap());
        let mut endpoint = FlowEndpoint::clone(&old.flow_endpoint);
        let name = old.pod.name.name.split("-g").next().unwrap();
        let name = ObjectName::new(old.pod.name.namespace.as_str(), format!("{name}-g{}", self.generation));
        endpoint.pod = Some(name.clone());
        let entry = entry(&Arc::new(endpoint), &old.pod.addresses, old.internal_identity, self.generation);
        let entry = Arc::new(entry);
        let directory = &mut self.directory;
        directory.pods.remove(&old.pod.name);
        directory.pods.insert(name, Arc::clone(&entry));
        directory.addresses.extend(entry.pod.addresses.iter().map(|address| (*address, Arc::clone(&entry))));
        for local in directory.endpoints.values_mut() {
            if local.pod.as_ref().is_some_and(|pod| pod.pod.uid == old.pod.uid) {
                *local =
                    Arc::new(LocalEndpoint { pod: Some(Arc::clone(&entry)), ..LocalEndpoint::clone(local) });
            }
        }
        directory.version += 1;
        directory.made_at_ns = monotonic_ns;
    }
}

fn entry(
    endpoint: &Arc<FlowEndpoint>,
    addresses: &[IpAddr],
    internal_identity: u32,
    generation: u32,
) -> PodEntry {
    let name = endpoint.pod.clone().unwrap();
    let pod = Pod {
        uid: format!("{name}/{generation}"),
        node: Cluster::NODE.into(),
        addresses: addresses.to_vec(),
        workload: endpoint.workload.clone(),
        ..Pod::new(name)
    };
    PodEntry { pod: Arc::new(pod), internal_identity, flow_endpoint: Arc::clone(endpoint) }
}

// === impl Numbers ===

impl Numbers {
    fn identity(&mut self, endpoint: &FlowEndpoint) -> u32 {
        let next = FIRST_INTERNAL + u32::try_from(self.identities.len()).unwrap();
        match endpoint.identity {
            Identity::HOST => IDENTITY_HOST,
            identity if endpoint.pod.is_none() && identity != Identity::HOST => IDENTITY_WORLD,
            identity => *self.identities.entry(identity).or_insert(next),
        }
    }

    /// The number of a set of rules, or of a policy set; 0 for none.
    fn policies(&mut self, policies: &Arc<[PolicyRef]>) -> u32 {
        if policies.is_empty() {
            return 0;
        }
        let next = 1 + u32::try_from(self.policies.len()).unwrap();
        *self.policies.entry(Arc::clone(policies)).or_insert(next)
    }

    fn table(&self, cluster: &Cluster) -> AttributionTable {
        let outside = cluster.outside().iter().map(|outside| &outside.endpoint);
        AttributionTable {
            allowing: self
                .policies
                .iter()
                .map(|(policies, number)| (*number, Arc::clone(policies)))
                .collect(),
            rules: self.policies.iter().map(|(policies, number)| (*number, first_rules(policies))).collect(),
            isolating: self
                .policies
                .iter()
                .map(|(policies, number)| (*number, [Arc::clone(policies), Arc::clone(policies)]))
                .collect(),
            class_labels: outside.map(|endpoint| (class(endpoint), endpoint.labels.clone())).collect(),
        }
    }

    fn event(&mut self, flow: &Flow, time: u64) -> abi::Event {
        let (ends, peer) = match flow.direction {
            Direction::Ingress => ([&flow.source, &flow.destination], &flow.source),
            Direction::Egress => ([&flow.source, &flow.destination], &flow.destination),
        };
        let detail = match flow.event {
            Event::Drop(reason) => reason.0,
            Event::Trace(point) => point as u8,
            Event::PolicyVerdict(by) => by as u8,
        };
        let number = self.policies(&flow.policies);
        let (rule_set, policy_set) =
            if flow.verdict == Verdict::Forwarded { (number, 0) } else { (0, number) };
        let (ports, flags, icmp) = match flow.transport {
            Transport::Tcp { source, destination, flags } => ((source, destination), flags.0, (0, 0)),
            Transport::Udp { source, destination } | Transport::Sctp { source, destination } => {
                ((source, destination), 0, (0, 0))
            }
            Transport::Icmp { kind, code } | Transport::Icmpv6 { kind, code } => ((0, 0), 0, (kind, code)),
            Transport::Other(_) => ((0, 0), 0, (0, 0)),
        };
        abi::Event {
            time,
            version: abi::ABI_VERSION,
            kind: flow.event.kind() as u8,
            detail,
            verdict: flow.verdict as u8,
            direction: flow.direction as u8,
            state: flow.state as u8,
            family: if flow.source_address.is_ipv4() { 4 } else { 6 },
            protocol: flow.transport.protocol().number(),
            source: abi::address_bytes(flow.source_address),
            destination: abi::address_bytes(flow.destination_address),
            source_port: ports.0.to_be(),
            destination_port: ports.1.to_be(),
            tcp_flags: flags,
            icmp_type: icmp.0,
            icmp_code: icmp.1,
            source_identity: self.identity(ends[0]),
            destination_identity: self.identity(ends[1]),
            ifindex: flow.interface.0,
            endpoint: flow.interface.0,
            policy: PolicyWord::new(policy_set, flow.policy_revision, 0).unwrap(),
            rule_set,
            class: class(peer),
            packets: 1,
            bytes: 60,
            ..abi::Event::default()
        }
    }
}

/// The first ingress rule of each policy.
fn first_rules(policies: &[PolicyRef]) -> RuleSet {
    let rule =
        |policy: &PolicyRef| RuleRef { policy: policy.name.clone(), direction: Direction::Ingress, index: 0 };
    RuleSet::new(policies.iter().map(rule).collect())
}

/// The CIDR class of an end outside; 0 for none.
fn class(endpoint: &FlowEndpoint) -> u32 {
    if endpoint.pod.is_some() { 0 } else { endpoint.identity.0.saturating_sub(Identity::CIDR_BASE) }
}
