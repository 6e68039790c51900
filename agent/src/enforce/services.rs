//! Numbers for what stands behind the addresses of services.
//!
//! A number never changes its meaning: a service whose backends change gets another number, whose rules are there
//! before its address carries it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::IDENTITY_WORLD;
use palomar_policy::service::{Leads, Targets};
use palomar_policy::{Backend, Backends, Classes};

use super::desired::Desired;
use crate::identity::start_of_service;

/// Numbers in use, and those that rules may still speak of.
#[derive(Debug, Default)]
pub(super) struct Services {
    backends: BTreeMap<u32, Arc<Backends>>,
    addresses: BTreeMap<IpAddr, u32>,
}

impl Services {
    /// Takes in what is desired. A number begins at a hash of what it stands for, so that the next agent gives the same.
    pub(super) fn update(&mut self, desired: &Desired, classes: &Classes) {
        self.addresses.clear();
        for (address, targets) in &desired.services {
            let backends = backends_of(targets, desired, classes);
            let mut number = start_of_service(&backends);
            while self.backends.get(&number).is_some_and(|other| **other != backends) {
                number = if number == u32::MAX { 1 } else { number + 1 };
            }
            self.backends.entry(number).or_insert_with(|| Arc::new(backends));
            self.addresses.insert(*address, number);
        }
    }

    /// The number of each service address.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u32)> {
        self.addresses.iter().map(|(address, number)| (*address, *number))
    }

    /// What the numbers stand for that addresses carry.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (u32, &Arc<Backends>)> {
        let numbers: BTreeSet<u32> = self.addresses.values().copied().collect();
        numbers.into_iter().filter_map(|number| Some((number, self.backends.get(&number)?)))
    }

    /// Forgets the numbers that no address carries and no rule speaks of.
    pub(super) fn retain(&mut self, is_known: impl Fn(u32) -> bool) {
        let Self { backends, addresses } = self;
        backends.retain(|number, _| is_known(*number) || addresses.values().any(|used| used == number));
    }
}

fn backends_of(targets: &Targets, desired: &Desired, classes: &Classes) -> Backends {
    let backend = |(address, port): &(IpAddr, u16), leads: &Leads| {
        let owner = desired.addresses.get(address);
        Backend {
            identity: owner.map_or(IDENTITY_WORLD, |owner| owner.identity),
            class: classes.class_of(*address),
            port: *port,
            is_local: owner.is_some_and(|owner| owner.endpoint != 0 && leads.keeps_source),
        }
    };
    let of_port = |leads: &Leads| leads.backends.iter().map(|own| backend(own, leads)).collect();
    Backends { ports: targets.iter().map(|(port, leads)| (*port, of_port(leads))).collect() }
}

#[cfg(test)]
mod tests {
    use palomar_model::packet::Protocol;

    use super::*;
    use crate::enforce::DesiredAddress;

    #[test]
    fn a_backend_is_local_where_its_own_interface_sees_who_connects() {
        let address = |last: u8| IpAddr::from([10, 1, 0, last]);
        let mut desired = Desired::default();
        for (last, endpoint) in [(1, 7), (2, 0)] {
            desired.addresses.insert(address(last), DesiredAddress { identity: 300, endpoint, node: false });
        }
        let classes = Classes::default();
        for (what, last, keeps_source, is_local) in [
            ("a pod of this node", 1, true, true),
            ("a pod of this node, who sees the node as the source", 1, false, false),
            ("a pod elsewhere", 2, true, false),
            ("nobody's address", 3, true, false),
        ] {
            let leads = Leads { backends: BTreeSet::from([(address(last), 80)]), keeps_source };
            let port = (Protocol::Tcp, 80);
            let backends = backends_of(&Targets::from([(port, leads)]), &desired, &classes);
            let found: Vec<bool> = backends.ports[&port].iter().map(|backend| backend.is_local).collect();
            assert_eq!(found, [is_local], "{what}");
        }
    }
}
