//! Who is who + policies → what the kernel is to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::{IDENTITY_HOST, IDENTITY_UNMANAGED};
use palomar_model::identity::Identity;
use palomar_model::netpol::{IpBlock, NetworkPolicy};
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use palomar_model::world::World;
use palomar_policy::cidr::{self, PortName};
use palomar_policy::{IdentityLabels, PolicySet, select};

use super::service_targets::ServiceTargets;
use crate::directory::{Directory, LocalEndpoint};
use crate::enforce::{Desired, DesiredAddress, DesiredEndpoint};
use crate::identity::PodFacts;

/// Where denied packets are dropped while the mode is enforce, and what must be decided before a service hides who connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnforceScope {
    /// Only in these namespaces; empty: in all.
    pub namespaces: BTreeSet<String>,
    /// Whether this node puts its own address in place of the client's for every service, so that a backend never sees who
    /// connects.
    pub masquerade_all: bool,
}

impl EnforceScope {
    /// Whether pods of this namespace are enforced.
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(namespace)
    }
}

/// Says what the kernel is to hold, for one directory after the other; the cost is that of what is different.
#[derive(Debug, Default)]
pub struct Wishes {
    desired: Desired,
    identities: SharedMap<u32, PodFacts>,
    services: ServiceTargets,
    asked: Asked,
    /// The directory that it was last said for; `None` before the first.
    before: Option<Arc<Directory>>,
}

/// What policies ask of addresses, and how many of them do.
#[derive(Debug, Default)]
struct Asked {
    blocks: BTreeMap<IpBlock, usize>,
    port_names: BTreeMap<PortName, usize>,
    /// Whether something is asked that was not when it was last told, or the other way.
    is_other: bool,
}

// === impl Wishes ===

impl Wishes {
    /// Says what the kernel is to hold for this directory. `identities` are the internal identities that pods have. The scope is
    /// the same each time.
    pub fn follow(
        &mut self,
        directory: &Arc<Directory>,
        identities: &SharedMap<u32, PodFacts>,
        scope: &EnforceScope,
    ) {
        for change in self.identities.changes(identities) {
            match change.after {
                Some(facts) => drop(self.desired.identities.insert(*change.key, labels(facts))),
                None => drop(self.desired.identities.remove(change.key)),
            }
        }
        self.identities = identities.clone();
        let before = self.before.replace(Arc::clone(directory));
        let nothing = World::default();
        let policies = &before.as_ref().map_or(&nothing, |before| &before.world).policies;
        let changed = policies.changes(&directory.world.policies);
        let namespaces: BTreeSet<&str> = changed.iter().map(|change| &*change.key.namespace).collect();
        for change in &changed {
            self.asked.change(change.before.map(AsRef::as_ref), change.after.map(AsRef::as_ref));
        }
        self.asked.tell(&mut self.desired);
        self.change_endpoints(before.as_deref(), directory, &namespaces, scope);
        self.change_addresses(before.as_deref(), directory);
        // nobody else asks what a service's address means
        let endpoints = &self.desired.endpoints;
        if endpoints.values().any(|endpoint| endpoint.policies.isolates(Direction::Egress)) {
            let (world, node) = (&directory.world, &*directory.node_name);
            self.services.follow(world, node, scope.masquerade_all, &mut self.desired);
        } else {
            self.services = ServiceTargets::default();
            (self.desired.services, self.desired.node_ports) = Default::default();
        }
    }

    /// What was said last; nothing before the first time.
    pub const fn desired(&self) -> &Desired {
        &self.desired
    }

    /// `namespaces` are those whose policies changed.
    fn change_endpoints(
        &mut self,
        before: Option<&Directory>,
        directory: &Directory,
        namespaces: &BTreeSet<&str>,
        scope: &EnforceScope,
    ) {
        let nothing = SharedMap::new();
        let before = before.map_or(&nothing, |before| &before.endpoints);
        let endpoints = &mut self.desired.endpoints;
        for change in before.changes(&directory.endpoints) {
            match change.after {
                Some(endpoint) => {
                    drop(endpoints.insert(*change.key, wanted_endpoint(directory, endpoint, scope)));
                }
                None => drop(endpoints.remove(change.key)),
            }
        }
        if namespaces.is_empty() {
            return;
        }
        for (ifindex, endpoint) in &directory.endpoints {
            let namespace = endpoint.pod.as_ref().map(|entry| &*entry.pod.name.namespace);
            if namespace.is_some_and(|namespace| namespaces.contains(namespace)) {
                endpoints.insert(*ifindex, wanted_endpoint(directory, endpoint, scope));
            }
        }
    }

    fn change_addresses(&mut self, before: Option<&Directory>, directory: &Directory) {
        let Some(before) = before.filter(|before| differ_by_pods_alone(before, directory)) else {
            self.desired.addresses = wanted_addresses(directory);
            return;
        };
        for change in before.addresses.changes(&directory.addresses) {
            match wanted_address(directory, *change.key) {
                Some(wanted) => drop(self.desired.addresses.insert(*change.key, wanted)),
                None => drop(self.desired.addresses.remove(change.key)),
            }
        }
    }
}

// === impl Asked ===

impl Asked {
    /// A policy is another; `None`: it was not there, or is not any more.
    fn change(&mut self, before: Option<&NetworkPolicy>, after: Option<&NetworkPolicy>) {
        for block in cidr::blocks_of(after) {
            self.is_other |= add(&mut self.blocks, block);
        }
        for name in cidr::port_names_in_blocks(after) {
            self.is_other |= add(&mut self.port_names, &name);
        }
        for block in cidr::blocks_of(before) {
            self.is_other |= take(&mut self.blocks, block);
        }
        for name in cidr::port_names_in_blocks(before) {
            self.is_other |= take(&mut self.port_names, &name);
        }
    }

    fn tell(&mut self, desired: &mut Desired) {
        if std::mem::take(&mut self.is_other) {
            desired.blocks = Arc::new(self.blocks.keys().cloned().collect());
            desired.port_names = Arc::new(self.port_names.keys().cloned().collect());
        }
    }
}

/// Counts one more; says whether it is the first.
fn add<T: Ord + Clone>(counts: &mut BTreeMap<T, usize>, thing: &T) -> bool {
    let count = match counts.get_mut(thing) {
        Some(count) => count,
        None => counts.entry(thing.clone()).or_default(),
    };
    *count += 1;
    *count == 1
}

/// Counts one less; says whether it was the last.
fn take<T: Ord>(counts: &mut BTreeMap<T, usize>, thing: &T) -> bool {
    let Some(count) = counts.get_mut(thing) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        counts.remove(thing);
    }
    is_last
}

/// Whether the addresses of nodes and of interfaces that are no pods' are the same.
fn differ_by_pods_alone(before: &Directory, after: &Directory) -> bool {
    fn podless(directory: &Directory) -> impl Iterator<Item = &Arc<LocalEndpoint>> {
        directory.endpoints.values().filter(|endpoint| endpoint.pod.is_none())
    }
    before.node_addresses == after.node_addresses
        && before.remote_nodes == after.remote_nodes
        && podless(before)
            .map(|local| (local.id, &local.addresses))
            .eq(podless(after).map(|local| (local.id, &local.addresses)))
}

fn labels(facts: &PodFacts) -> IdentityLabels {
    let PodFacts { namespace, namespace_labels, service_account: _, pod_labels, named_ports } = facts;
    IdentityLabels {
        namespace: Arc::clone(namespace),
        namespace_labels: Arc::clone(namespace_labels),
        pod_labels: Arc::clone(pod_labels),
        named_ports: named_ports.clone(),
    }
}

fn wanted_endpoint(directory: &Directory, endpoint: &LocalEndpoint, scope: &EnforceScope) -> DesiredEndpoint {
    match &endpoint.pod {
        Some(entry) => DesiredEndpoint {
            id: endpoint.id,
            identity: entry.internal_identity,
            policies: select(&directory.world, &entry.pod),
            enforced: scope.covers(&entry.pod.name.namespace),
            check_source: true,
        },
        None => DesiredEndpoint {
            id: endpoint.id,
            identity: IDENTITY_UNMANAGED,
            policies: PolicySet::default(),
            enforced: false,
            check_source: false,
        },
    }
}

/// A remote node's address is least sure, the node's own is certain.
fn wanted_addresses(directory: &Directory) -> SharedMap<IpAddr, DesiredAddress> {
    let podless = directory.endpoints.values().filter(|endpoint| endpoint.pod.is_none());
    let podless: BTreeMap<IpAddr, u32> = podless
        .flat_map(|endpoint| endpoint.addresses.iter().map(|address| (*address, endpoint.id)))
        .collect();
    let known = directory.remote_nodes.iter().chain(podless.keys());
    let known = known.chain(directory.addresses.keys()).chain(&directory.node_addresses);
    let find = |address| podless.get(&address).copied();
    known.filter_map(|address| Some((*address, owned(directory, *address, find)?))).collect()
}

fn wanted_address(directory: &Directory, address: IpAddr) -> Option<DesiredAddress> {
    let podless = directory.endpoints.values().filter(|endpoint| endpoint.pod.is_none());
    let find = |address| {
        podless.clone().filter(|local| local.addresses.contains(&address)).last().map(|local| local.id)
    };
    owned(directory, address, find)
}

/// Whose an address is; `podless` finds the interface that has it and is no pod's.
fn owned(
    directory: &Directory,
    address: IpAddr,
    podless: impl Fn(IpAddr) -> Option<u32>,
) -> Option<DesiredAddress> {
    let wanted = |identity, endpoint, node| Some(DesiredAddress { identity, endpoint, node });
    if directory.node_addresses.contains(&address) {
        return wanted(IDENTITY_HOST, 0, true);
    }
    if let Some(entry) = directory.addresses.get(&address) {
        return wanted(entry.internal_identity, entry.flow_endpoint.id, false);
    }
    if let Some(endpoint) = podless(address) {
        return wanted(IDENTITY_UNMANAGED, endpoint, false);
    }
    directory.remote_nodes.contains(&address).then_some(())?;
    wanted(Identity::REMOTE_NODE.0, 0, false)
}
