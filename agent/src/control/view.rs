//! World + interfaces + identities → who is who. What a new view costs is for what is different from the last.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::IDENTITY_HOST;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::shared_map::SharedMap;
use palomar_model::world::{Pod, World};

use super::bindings::Bindings;
use super::claims::Claims;
use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::identity::{InternalId, PodIdentity};
use crate::links::{Link, Links};

/// What a view is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The view before it, which the same [`Viewer`] made; or the empty one of the start.
    pub before: &'a Directory,
    /// The world.
    pub world: &'a Arc<World>,
    /// The interfaces of this node.
    pub links: &'a Arc<Links>,
    /// The numbers of the world's pods.
    pub assigned: &'a SharedMap<ObjectName, PodIdentity>,
    /// What each internal identity shows as.
    pub identities: &'a SharedMap<u32, (Identity, LabelSet)>,
}

/// Who is who, and which claims of pods could not be granted.
#[derive(Debug)]
pub struct View {
    /// Who is who.
    pub directory: Directory,
    /// Pods that claim an address which another pod has, with that pod.
    pub contested: Vec<(ObjectName, IpAddr, ObjectName)>,
}

/// Makes one view after the other.
#[derive(Debug, Default)]
pub struct Viewer {
    bindings: Bindings,
    claims: Claims,
    links: Arc<Links>,
    assigned: SharedMap<ObjectName, PodIdentity>,
}

// === impl Viewer ===

impl Viewer {
    /// Makes the next view.
    pub fn view(&mut self, inputs: &Inputs<'_>) -> View {
        let Inputs { before, world, links, assigned, identities } = *inputs;
        let changed_links = changed_links(&self.links, links);
        let (old_links, old_assigned) = (Arc::clone(&self.links), self.assigned.clone());
        (self.links, self.assigned) = (Arc::clone(links), assigned.clone());

        let changed = before.world.pods.changes(&world.pods).into_iter().map(|change| change.key.clone());
        let mut pods: BTreeSet<ObjectName> = changed.collect();
        let moved = self.bindings.follow(world, &pods, (links, &changed_links), &before.node_name);
        pods.extend(moved);
        pods.extend(old_assigned.changes(assigned).into_iter().map(|change| change.key.clone()));

        let mut directory = Directory {
            version: before.version + 1,
            world: Arc::clone(world),
            identities: identities.clone(),
            node_addresses: links.node_addresses.clone(),
            ..before.clone()
        };
        let mut interfaces = self.change_pods(&mut directory, &pods);
        if before.world.services != world.services {
            (directory.services, directory.node_ports) = (services(world), node_ports(world));
        }
        if before.world.nodes != world.nodes || old_links.node_addresses != links.node_addresses {
            directory.remote_nodes = remote_nodes(&directory);
        }
        interfaces.extend(changed_links);
        for ifindex in interfaces {
            match links.veths.get(&ifindex) {
                Some(link) => {
                    let endpoint = self.endpoint(link, &directory.pods);
                    directory.endpoints.insert(ifindex, Arc::new(endpoint));
                }
                None => drop(directory.endpoints.remove(&ifindex)),
            }
        }
        View { contested: self.claims.contested(), directory }
    }

    /// The pods of this node that no interface was found for.
    pub fn unbound(&self) -> impl Iterator<Item = &ObjectName> {
        self.bindings.unbound()
    }

    /// Brings these pods up to date; gives the interfaces that they had or have.
    fn change_pods(&mut self, directory: &mut Directory, pods: &BTreeSet<ObjectName>) -> BTreeSet<u32> {
        let (mut interfaces, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for name in pods {
            if let Some(old) = directory.pods.remove(name) {
                interfaces.insert(old.flow_endpoint.id);
                for address in own_addresses(&old.pod) {
                    self.claims.remove(*address, name);
                    addresses.insert(*address);
                }
            }
            let Some(pod) = directory.world.pods.get(name) else { continue };
            let entry = self.entry(pod, &directory.cluster);
            interfaces.insert(entry.flow_endpoint.id);
            for address in own_addresses(pod) {
                self.claims.insert(*address, name);
                addresses.insert(*address);
            }
            directory.pods.insert(name.clone(), Arc::new(entry));
        }
        for address in addresses {
            match self.claims.owner(address).and_then(|owner| directory.pods.get(owner)) {
                Some(entry) => drop(directory.addresses.insert(address, Arc::clone(entry))),
                None => drop(directory.addresses.remove(&address)),
            }
        }
        interfaces
    }

    fn entry(&self, pod: &Arc<Pod>, cluster: &Arc<str>) -> PodEntry {
        let reserved = |identity: Identity| {
            identity.reserved_labels().expect("invariant: a reserved identity has labels")
        };
        let (internal_identity, identity, labels) = match self.assigned.get(&pod.name) {
            Some(given) => (given.internal.0, given.identity, given.labels.clone()),
            None if pod.host_network => (IDENTITY_HOST, Identity::HOST, reserved(Identity::HOST)),
            None => (InternalId::UNKNOWN.0, Identity::UNKNOWN, reserved(Identity::UNKNOWN)),
        };
        let ifindex = self.bindings.interface(&pod.name).filter(|_| !pod.host_network);
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

    fn endpoint(&self, link: &Link, pods: &SharedMap<ObjectName, Arc<PodEntry>>) -> LocalEndpoint {
        let pod = self.bindings.pod(link.ifindex).and_then(|name| pods.get(name)).cloned();
        let told: BTreeSet<IpAddr> = link.addresses.iter().copied().collect();
        LocalEndpoint {
            id: link.ifindex,
            interface: link.name.as_str().into(),
            pod,
            addresses: told.into_iter().collect(),
        }
    }
}

/// The interfaces that came, went or are other than before.
fn changed_links(before: &Arc<Links>, after: &Arc<Links>) -> BTreeSet<u32> {
    if Arc::ptr_eq(before, after) {
        return BTreeSet::new();
    }
    let gone = before.veths.keys().filter(|ifindex| !after.veths.contains_key(ifindex));
    let come = after.veths.iter().filter(|(ifindex, link)| before.veths.get(ifindex) != Some(link));
    gone.chain(come.map(|(ifindex, _)| ifindex)).copied().collect()
}

/// The addresses that are a pod's alone.
fn own_addresses(pod: &Pod) -> &[IpAddr] {
    if pod.host_network { &[] } else { &pod.addresses }
}

/// An address of the cluster is surer than one outside of it.
fn services(world: &World) -> SharedMap<IpAddr, ObjectName> {
    let mut services = SharedMap::new();
    for service in world.services.values() {
        services.extend(service.cluster_ips.iter().map(|address| (*address, service.name.clone())));
    }
    for service in world.services.values() {
        for address in &service.external_addresses {
            if !services.contains_key(address) {
                services.insert(*address, service.name.clone());
            }
        }
    }
    services
}

/// Of several services that claim a port, the first by name has it.
fn node_ports(world: &World) -> SharedMap<(Protocol, u16), Arc<ObjectName>> {
    let mut node_ports = SharedMap::new();
    for service in world.services.values() {
        for port in &service.ports {
            let Some(number) = port.node_port else { continue };
            if !node_ports.contains_key(&(port.protocol, number)) {
                node_ports.insert((port.protocol, number), Arc::new(service.name.clone()));
            }
        }
    }
    node_ports
}

fn remote_nodes(directory: &Directory) -> BTreeSet<IpAddr> {
    let others = directory.world.nodes.values().filter(|node| node.name != *directory.node_name);
    let addresses = others.flat_map(|node| &node.addresses);
    addresses.filter(|address| !directory.node_addresses.contains(*address)).copied().collect()
}
