//! Where the ports of services lead, kept up to date.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::object::ObjectName;
use palomar_model::world::{Service, World};
use palomar_policy::service::{self, Targets};

use crate::enforce::Desired;

/// What was said of a world's services last; the empty one has said nothing.
#[derive(Debug, Default)]
pub(super) struct ServiceTargets {
    world: World,
    /// Which services claim an address.
    claims: BTreeSet<(IpAddr, ObjectName)>,
}

// === impl ServiceTargets ===

impl ServiceTargets {
    /// Brings the services and node ports of `desired` from the last world to this one. The name of the node and
    /// `masquerade_all` are the same each time.
    pub(super) fn follow(&mut self, world: &World, node: &str, masquerade_all: bool, desired: &mut Desired) {
        let before = std::mem::replace(&mut self.world, world.clone());
        let mut addresses = BTreeSet::new();
        let mut has_node_ports = false;
        for name in affected(&before, world) {
            if let Some(old) = before.services.get(&name) {
                has_node_ports |= old.ports.iter().any(|port| port.node_port.is_some());
                for address in claimed_by(old) {
                    self.claims.remove(&(address, name.clone()));
                    addresses.insert(address);
                }
            }
            if let Some(new) = world.services.get(&name) {
                has_node_ports |= new.ports.iter().any(|port| port.node_port.is_some());
                for address in claimed_by(new) {
                    self.claims.insert((address, name.clone()));
                    addresses.insert(address);
                }
            }
        }
        let claimants: BTreeSet<&ObjectName> =
            addresses.iter().flat_map(|address| self.claimants(*address)).collect();
        let services = claimants.into_iter().filter_map(|name| world.services.get(name)).map(AsRef::as_ref);
        let mut targets = service::targets_of(world, node, services);
        if masquerade_all {
            targets.values_mut().flat_map(Targets::values_mut).for_each(|leads| leads.keeps_source = false);
        }
        for address in addresses {
            match targets.remove(&address) {
                Some(targets) => drop(desired.services.insert(address, Arc::new(targets))),
                None => drop(desired.services.remove(&address)),
            }
        }
        if has_node_ports {
            desired.node_ports = [true, false].map(|is_ipv4| {
                let mut targets = service::node_ports(world, is_ipv4);
                targets.values_mut().filter(|_| masquerade_all).for_each(|leads| leads.keeps_source = false);
                Arc::new(targets)
            });
        }
    }

    fn claimants(&self, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
        let from = self.claims.range((address, ObjectName::new("", ""))..);
        from.take_while(move |(other, _)| *other == address).map(|(_, name)| name)
    }
}

/// The services that are other than before, or before other pods or endpoints.
fn affected(before: &World, after: &World) -> BTreeSet<ObjectName> {
    if before.pods.is_empty() {
        return before.services.keys().chain(after.services.keys()).cloned().collect();
    }
    let changed = before.services.changes(&after.services);
    let mut names: BTreeSet<ObjectName> = changed.into_iter().map(|change| change.key.clone()).collect();
    for change in before.endpoint_slices.changes(&after.endpoint_slices) {
        let slices = [change.before, change.after].into_iter().flatten();
        names.extend(slices.map(|slice| ObjectName::new(&*slice.name.namespace, &*slice.service)));
    }
    for change in before.pods.changes(&after.pods) {
        let pods = [change.before, change.after];
        let is_before =
            |service: &Arc<Service>| pods.iter().flatten().any(|pod| service.endpoint(pod).is_some());
        let namespace = &change.key.namespace;
        let services = after.services.starting_at(&ObjectName::new(namespace, ""));
        let services = services.take_while(|(name, _)| name.namespace == *namespace);
        names.extend(services.filter(|(_, service)| is_before(service)).map(|(name, _)| name.clone()));
    }
    names
}

fn claimed_by(service: &Service) -> impl Iterator<Item = IpAddr> {
    service.cluster_ips.iter().chain(&service.external_addresses).copied()
}
