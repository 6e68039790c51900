//! Numbers for what stands behind the addresses of services.
//!
//! A number never changes its meaning: a service whose backends change gets another number, whose rules are there
//! before its address carries it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use foldhash::HashMap;
use palomar_bpf::abi::{IDENTITY_WORLD, NodePort};
use palomar_model::packet::Protocol;
use palomar_policy::service::Leads;
use palomar_policy::{Backend, Backends, Classes};

use super::desired::Desired;
use crate::identity::start_of_service;

/// Where a service is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Address(IpAddr),
    /// Each port by itself, so that a change behind one of them leaves the others alone.
    NodePort(NodePort),
}

/// Numbers in use, and those that rules may still speak of.
#[derive(Debug, Default)]
pub(super) struct Services {
    backends: BTreeMap<u32, Arc<Backends>>,
    places: BTreeMap<Place, u32>,
    /// How many places carry a number; never 0.
    carriers: HashMap<u32, usize>,
    /// The addresses that stand behind each place.
    behind: BTreeSet<(IpAddr, Place)>,
}

/// Ports, and where they lead.
pub(super) type Ports<'t> = Vec<((Protocol, u16), &'t Leads)>;

/// What a place carried, and what it carries now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Renumbered {
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

impl Services {
    /// Gives a place the number of what its ports lead to, or none; a number begins at a hash of that, so that the next agent
    /// gives the same. `before` is where they led when this was last told.
    pub(super) fn lead(
        &mut self,
        place: Place,
        before: Option<&Ports<'_>>,
        after: Option<Ports<'_>>,
        desired: &Desired,
        classes: &Classes,
    ) -> Renumbered {
        for (address, _) in before.into_iter().flatten().flat_map(|(_, leads)| &leads.backends) {
            self.behind.remove(&(*address, place));
        }
        let backends = after.iter().flatten().flat_map(|(_, leads)| &leads.backends);
        self.behind.extend(backends.map(|(address, _)| (*address, place)));
        let old = self.places.get(&place).copied();
        let new = after.map(|ports| self.number(old, backends_of(&ports, desired, classes)));
        if old != new {
            match new {
                Some(number) => drop(self.places.insert(place, number)),
                None => drop(self.places.remove(&place)),
            }
            self.count(old, new);
        }
        Renumbered { before: old, after: new }
    }

    fn count(&mut self, old: Option<u32>, new: Option<u32>) {
        if let Some(number) = new {
            *self.carriers.entry(number).or_default() += 1;
        }
        let Some(number) = old else { return };
        if let Some(places) = self.carriers.get_mut(&number) {
            *places -= 1;
            if *places == 0 {
                self.carriers.remove(&number);
            }
        }
    }

    /// `before` is the number that the same place had.
    fn number(&mut self, before: Option<u32>, backends: Backends) -> u32 {
        let stands_for = |number: &u32| self.backends.get(number).is_some_and(|other| **other == backends);
        if let Some(same) = before.filter(stands_for) {
            return same;
        }
        let mut number = start_of_service(&backends);
        while self.backends.get(&number).is_some_and(|other| **other != backends) {
            number = if number == u32::MAX { 1 } else { number + 1 };
        }
        self.backends.entry(number).or_insert_with(|| Arc::new(backends));
        number
    }

    /// The number that a place carries; `None`: no service is there.
    pub(super) fn number_at(&self, place: Place) -> Option<u32> {
        self.places.get(&place).copied()
    }

    /// The addresses that stand behind a place; some more than once.
    pub(super) fn backends(&self) -> impl Iterator<Item = IpAddr> {
        self.behind.iter().map(|(address, _)| *address)
    }

    /// The places that an address stands behind.
    pub(super) fn before(&self, address: IpAddr) -> impl Iterator<Item = Place> {
        let least = Place::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let from = self.behind.range((address, least)..);
        from.take_while(move |(backend, _)| *backend == address).map(|(_, place)| *place)
    }

    /// What a number stands for that a place carries.
    pub(super) fn carried(&self, number: u32) -> Option<&Arc<Backends>> {
        self.carriers.get(&number).and_then(|_| self.backends.get(&number))
    }

    /// Forgets the numbers that nothing carries and no rule speaks of.
    pub(super) fn retain(&mut self, is_known: impl Fn(u32) -> bool) {
        let carriers = &self.carriers;
        self.backends.retain(|number, _| is_known(*number) || carriers.contains_key(number));
    }
}

fn backends_of(ports: &Ports<'_>, desired: &Desired, classes: &Classes) -> Backends {
    let backend = |(address, port): &(IpAddr, u16), keeps_source: bool| {
        let owner = desired.addresses.get(address);
        Backend {
            identity: owner.map_or(IDENTITY_WORLD, |owner| owner.identity),
            class: classes.class_of(*address),
            port: *port,
            is_local: keeps_source && owner.is_some_and(|owner| owner.endpoint != 0),
        }
    };
    let ports = ports.iter().map(|(port, leads)| {
        let backends = leads.backends.iter().map(|at| backend(at, leads.keeps_source));
        (*port, backends.collect())
    });
    Backends { ports: ports.collect() }
}

#[cfg(test)]
mod tests {
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
            let backends = backends_of(&vec![(port, &leads)], &desired, &classes);
            let found: Vec<bool> = backends.ports[&port].iter().map(|backend| backend.is_local).collect();
            assert_eq!(found, [is_local], "{what}");
        }
    }
}
