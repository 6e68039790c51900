//! What is different between two directories, as events.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::identity::Identity;
use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, World};

use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::events::{AddressEvent, AgentEvent, EndpointEvent, PolicyEvent};

/// What changed: policies first, then what went, then what came. `revision` is the newest one in the kernel.
pub fn changes(before: &Directory, after: &Directory, revision: u32) -> Vec<AgentEvent> {
    let mut events = policies(&before.world, &after.world, revision);
    let mut changed = before.endpoints.changes(&after.endpoints);
    changed.retain(|change| !is_same_endpoint(change.before, change.after));
    let gone = changed.iter().filter_map(|change| endpoint(change.before?));
    events.extend(gone.map(AgentEvent::EndpointDeleted));
    events.extend(addresses(before, after));
    let come = changed.iter().filter_map(|change| endpoint(change.after?));
    events.extend(come.map(AgentEvent::EndpointCreated));
    events
}

fn policies(before: &World, after: &World, revision: u32) -> Vec<AgentEvent> {
    let event = |policy: &NetworkPolicy| {
        let rules = [&policy.ingress, &policy.egress].into_iter().flatten().map(Vec::len).sum();
        PolicyEvent { name: policy.name.clone(), rules, revision }
    };
    let changed = before.policies.changes(&after.policies);
    let gone = changed.iter().filter(|change| change.after.is_none()).filter_map(|change| change.before);
    let come = changed.iter().filter_map(|change| change.after);
    gone.map(|policy| AgentEvent::PolicyDeleted(event(policy)))
        .chain(come.map(|policy| AgentEvent::PolicyUpdated(event(policy))))
        .collect()
}

/// An endpoint is a pod behind an interface: another pod there is another endpoint.
fn is_same_endpoint(one: Option<&Arc<LocalEndpoint>>, other: Option<&Arc<LocalEndpoint>>) -> bool {
    fn pod(endpoint: &LocalEndpoint) -> Option<(&ObjectName, &str)> {
        endpoint.pod.as_ref().map(|entry| (&entry.pod.name, entry.pod.uid.as_str()))
    }
    one.map(|one| pod(one)) == other.map(|other| pod(other))
}

/// `None` for an interface that is no pod's.
fn endpoint(local: &LocalEndpoint) -> Option<EndpointEvent> {
    let PodEntry { pod, flow_endpoint, .. } = &**local.pod.as_ref()?;
    Some(EndpointEvent { id: local.id, pod: pod.name.clone(), labels: flow_endpoint.labels.clone() })
}

/// Whose an address is.
#[derive(Debug, Clone, Copy)]
struct Owner<'a> {
    identity: Identity,
    pod: Option<&'a Pod>,
    host: Option<IpAddr>,
}

impl Owner<'_> {
    fn pod_name(&self) -> Option<&ObjectName> {
        self.pod.map(|pod| &pod.name)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.host == other.host
            && self.pod_name() == other.pod_name()
            && self.pod.map(|pod| &pod.uid) == other.pod.map(|pod| &pod.uid)
    }
}

/// The kernel's precedence: the node's own addresses are certain, another node's are least sure.
fn owner<'a>(directory: &'a Directory, address: &IpAddr) -> Option<Owner<'a>> {
    let node = |identity| Owner { identity, pod: None, host: None };
    if directory.node_addresses.contains(address) {
        return Some(node(Identity::HOST));
    }
    if let Some(entry) = directory.addresses.get(address) {
        let hosting = directory.world.nodes.get(&entry.pod.node);
        return Some(Owner {
            identity: entry.flow_endpoint.identity,
            pod: Some(&entry.pod),
            host: hosting.and_then(|node| node.addresses.first().copied()),
        });
    }
    directory.remote_nodes.contains(address).then(|| node(Identity::REMOTE_NODE))
}

fn known(directory: &Directory) -> impl Iterator<Item = &IpAddr> {
    directory.node_addresses.iter().chain(directory.addresses.keys()).chain(&directory.remote_nodes)
}

/// Addresses that may be somebody else's than before, or on another node: all of them where the nodes are other ones.
fn suspects<'d>(before: &'d Directory, after: &'d Directory) -> BTreeSet<&'d IpAddr> {
    let are_nodes_same = before.node_addresses == after.node_addresses
        && before.remote_nodes == after.remote_nodes
        && before.world.nodes == after.world.nodes;
    if are_nodes_same {
        return before.addresses.changes(&after.addresses).into_iter().map(|change| change.key).collect();
    }
    known(before).chain(known(after)).collect()
}

/// Sorted: those that are nobody's any more first.
fn addresses(before: &Directory, after: &Directory) -> Vec<AgentEvent> {
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for address in suspects(before, after) {
        match (owner(before, address), owner(after, address)) {
            (_, None) => gone.push(address),
            (Some(old), Some(new)) if old.is_same(&new) => {}
            (_, Some(_)) => come.push(address),
        }
    }
    let deleted = gone.into_iter().filter_map(|address| {
        let old = owner(before, address)?;
        Some(AgentEvent::AddressDeleted(AddressEvent {
            address: *address,
            identity: old.identity,
            old_identity: None,
            host: old.host,
            old_host: None,
            pod: old.pod_name().cloned(),
        }))
    });
    let upserted = come.into_iter().filter_map(|address| {
        let (old, new) = (owner(before, address), owner(after, address)?);
        Some(AgentEvent::AddressUpserted(AddressEvent {
            address: *address,
            identity: new.identity,
            old_identity: old.map(|old| old.identity).filter(|old| *old != new.identity),
            host: new.host,
            old_host: old.and_then(|old| old.host).filter(|old| Some(*old) != new.host),
            pod: new.pod_name().cloned(),
        }))
    });
    deleted.chain(upserted).collect()
}
