//! World + interfaces + identities → who is who.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::IDENTITY_HOST;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, World};

use super::bindings::Bindings;
use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::identity::{Assigned, InternalId};
use crate::links::Links;

/// What a view is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The number of the new directory.
    pub version: u64,
    /// The world.
    pub world: &'a Arc<World>,
    /// The interfaces of this node.
    pub links: &'a Links,
    /// This node's name.
    pub node_name: &'a Arc<str>,
    /// The cluster's name.
    pub cluster: &'a Arc<str>,
    /// The numbers of the world's pods.
    pub assigned: &'a Assigned,
    /// What each internal identity shows as.
    pub identities: HashMap<u32, (Identity, LabelSet)>,
    /// Which pod each interface was found to be before.
    pub bindings: &'a mut Bindings,
}

/// Who is who, and which claims of pods could not be granted.
#[derive(Debug)]
pub struct View {
    /// Who is who.
    pub directory: Directory,
    /// Pods that claim an address which another pod has, with that pod.
    pub contested: Vec<(ObjectName, IpAddr, ObjectName)>,
}

/// Makes the view.
pub fn view(inputs: Inputs<'_>) -> View {
    let Inputs { version, world, links, node_name, cluster, assigned, identities, bindings } = inputs;
    bindings.follow(world, links, node_name);
    let mut directory = Directory {
        version,
        identities,
        world: Arc::clone(world),
        node_addresses: links.node_addresses.clone(),
        ..Directory::empty(Arc::clone(node_name), Arc::clone(cluster))
    };
    let mut contested = Vec::new();
    for pod in world.pods.values() {
        let ifindex = bindings.interface(&pod.name);
        let entry = Arc::new(entry(pod, ifindex.filter(|_| !pod.host_network), cluster, assigned));
        directory.pods.insert(pod.name.clone(), Arc::clone(&entry));
        if pod.host_network {
            continue;
        }
        for address in &pod.addresses {
            match directory.addresses.get(address) {
                Some(owner) => contested.push((pod.name.clone(), *address, owner.pod.name.clone())),
                None => drop(directory.addresses.insert(*address, Arc::clone(&entry))),
            }
        }
    }
    for service in world.services.values() {
        directory.services.extend(service.cluster_ips.iter().map(|address| (*address, service.name.clone())));
    }
    for service in world.services.values() {
        for address in &service.external_addresses {
            directory.services.entry(*address).or_insert_with(|| service.name.clone());
        }
        let name = Arc::new(service.name.clone());
        for port in &service.ports {
            let Some(number) = port.node_port else { continue };
            directory.node_ports.entry((port.protocol, number)).or_insert_with(|| Arc::clone(&name));
        }
    }
    let others = world.nodes.values().filter(|node| node.name != **node_name);
    directory.remote_nodes = others.flat_map(|node| &node.addresses).copied().collect();
    directory.remote_nodes.retain(|address| !links.node_addresses.contains(address));
    directory.endpoints = endpoints(links, &directory.pods, bindings);
    View { directory, contested }
}

fn entry(pod: &Arc<Pod>, ifindex: Option<u32>, cluster: &Arc<str>, assigned: &Assigned) -> PodEntry {
    let reserved =
        |identity: Identity| identity.reserved_labels().expect("invariant: a reserved identity has labels");
    let (internal_identity, identity, labels) = match assigned.pods.get(&pod.name) {
        Some(given) => (given.internal.0, given.identity, given.labels.clone()),
        None if pod.host_network => (IDENTITY_HOST, Identity::HOST, reserved(Identity::HOST)),
        None => (InternalId::UNKNOWN.0, Identity::UNKNOWN, reserved(Identity::UNKNOWN)),
    };
    let flow_endpoint = Arc::new(FlowEndpoint {
        id: ifindex.unwrap_or(0),
        identity,
        labels,
        pod: Some(pod.name.clone()),
        workload: pod.workload.clone(),
        cluster: Arc::clone(cluster),
    });
    PodEntry { pod: Arc::clone(pod), internal_identity, flow_endpoint }
}

fn endpoints(
    links: &Links,
    pods: &BTreeMap<ObjectName, Arc<PodEntry>>,
    bindings: &Bindings,
) -> BTreeMap<u32, Arc<LocalEndpoint>> {
    let local = |link: &crate::links::Link| {
        let pod = bindings.pod(link.ifindex).and_then(|name| pods.get(name)).cloned();
        let told: BTreeSet<IpAddr> = link.addresses.iter().copied().collect();
        LocalEndpoint {
            id: link.ifindex,
            interface: link.name.as_str().into(),
            pod,
            addresses: told.into_iter().collect(),
        }
    };
    links.veths.iter().map(|(ifindex, link)| (*ifindex, Arc::new(local(link)))).collect()
}
