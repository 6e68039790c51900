//! The sample's cluster as the enricher knows it, and its flows as the kernel would tell them.

use std::sync::Arc;

use palomar_agent::decode::KernelEvent;
use palomar_agent::directory::{Directory, LocalEndpoint, PodEntry};
use palomar_bpf::abi::PolicyWord;
use palomar_model::flow::{Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::verdict::Direction;
use palomar_model::world;
use palomar_sample::{Cluster, Pod, Traffic};

const EVENTS: u64 = 65_536;

/// Who is who.
pub fn directory() -> Directory {
    let cluster = Cluster::new(1);
    let mut directory = Directory::empty(Arc::from(Cluster::NODE), Arc::from(Cluster::NAME));
    for pod in cluster.pods() {
        let entry = Arc::new(entry(pod));
        for address in pod.addresses {
            directory.addresses.insert(address, Arc::clone(&entry));
        }
        if let Some((ifindex, interface)) = &pod.interface {
            let endpoint = LocalEndpoint {
                id: pod.endpoint.id,
                interface: Arc::clone(interface),
                pod: Some(Arc::clone(&entry)),
                addresses: pod.addresses.to_vec(),
            };
            directory.endpoints.insert(*ifindex, Arc::new(endpoint));
        }
    }
    for service in cluster.services() {
        for address in service.addresses {
            directory.services.insert(address, service.name.clone());
        }
    }
    directory
}

fn entry(pod: &Pod) -> PodEntry {
    let name = pod.endpoint.pod.clone().expect("invariant: a pod has a name");
    PodEntry {
        pod: Arc::new(world::Pod { addresses: pod.addresses.to_vec(), ..world::Pod::new(name) }),
        internal_identity: internal(&pod.endpoint),
        flow_endpoint: Arc::clone(&pod.endpoint),
    }
}

/// The kernel's identity of an end: the number shown, but for those of CIDR classes, who are the world.
fn internal(end: &FlowEndpoint) -> u32 {
    if class(end) == 0 { end.identity.0 } else { Identity::WORLD.0 }
}

fn class(end: &FlowEndpoint) -> u32 {
    end.identity.0.saturating_sub(Identity::CIDR_BASE)
}

/// What the kernel would tell of 65,536 flows.
pub fn events() -> Vec<KernelEvent> {
    let mut traffic = Traffic::new(Cluster::new(1), 1);
    (0..EVENTS).map(|number| event(&traffic.next_flow(0), number * 1_000)).collect()
}

fn event(flow: &Flow, monotonic_ns: u64) -> KernelEvent {
    let (local, peer) = match flow.direction {
        Direction::Ingress => (&flow.destination, &flow.source),
        Direction::Egress => (&flow.source, &flow.destination),
    };
    KernelEvent {
        monotonic_ns,
        event: flow.event,
        verdict: flow.verdict,
        state: flow.state,
        direction: flow.direction,
        source_address: flow.source_address,
        destination_address: flow.destination_address,
        transport: flow.transport,
        source_masked: false,
        source_identity: internal(&flow.source),
        destination_identity: internal(&flow.destination),
        ifindex: flow.interface.0,
        endpoint: local.id,
        policy: PolicyWord::default(),
        rule_set: 0,
        class_rule_set: 0,
        suppressed: 0,
        class: class(peer),
        foreign: None,
    }
}
