//! Numbers for what stands behind the addresses of services.
//!
//! A number never changes its meaning: a service whose backends change gets another number, whose rules are there
//! before its address carries it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::{IDENTITY_WORLD, NodePort};
use palomar_model::packet::Protocol;
use palomar_policy::service::Leads;
use palomar_policy::{Backend, Backends, Classes};

use super::desired::Desired;
use crate::identity::start_of_service;

/// Numbers in use, and those that rules may still speak of.
#[derive(Debug, Default)]
pub(super) struct Services {
    backends: BTreeMap<u32, Arc<Backends>>,
    addresses: BTreeMap<IpAddr, u32>,
    node_ports: BTreeMap<NodePort, u32>,
}

impl Services {
    /// Takes in what is desired. A number begins at a hash of what it stands for, so that the next agent gives the same.
    pub(super) fn update(&mut self, desired: &Desired, classes: &Classes) {
        let addresses = std::mem::take(&mut self.addresses);
        for (address, targets) in &desired.services {
            let before = addresses.get(address).copied();
            let number = self.number(before, backends_of(targets, desired, classes));
            self.addresses.insert(*address, number);
        }
        // each by itself, so that a change behind one of them leaves the others alone
        let node_ports = std::mem::take(&mut self.node_ports);
        for (family, targets) in [4, 6].into_iter().zip(&desired.node_ports) {
            for (port, leads) in targets {
                let (protocol, number) = *port;
                let key = NodePort { port: number.to_be(), protocol: protocol.number(), family };
                let before = node_ports.get(&key).copied();
                let number = self.number(before, backends_of([(port, leads)], desired, classes));
                self.node_ports.insert(key, number);
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

    /// The number of each service address.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u32)> {
        self.addresses.iter().map(|(address, number)| (*address, *number))
    }

    /// The number of each node port.
    pub(super) fn node_ports(&self) -> &BTreeMap<NodePort, u32> {
        &self.node_ports
    }

    fn numbers(&self) -> BTreeSet<u32> {
        self.addresses.values().chain(self.node_ports.values()).copied().collect()
    }

    /// What the numbers stand for that addresses and node ports carry.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (u32, &Arc<Backends>)> {
        self.numbers().into_iter().filter_map(|number| Some((number, self.backends.get(&number)?)))
    }

    /// Forgets the numbers that nothing carries and no rule speaks of.
    pub(super) fn retain(&mut self, is_known: impl Fn(u32) -> bool) {
        let in_use = self.numbers();
        self.backends.retain(|number, _| is_known(*number) || in_use.contains(number));
    }
}

fn backends_of<'t>(
    targets: impl IntoIterator<Item = (&'t (Protocol, u16), &'t Leads)>,
    desired: &Desired,
    classes: &Classes,
) -> Backends {
    let backend = |(address, port): &(IpAddr, u16), keeps_source: bool| {
        let owner = desired.addresses.get(address);
        Backend {
            identity: owner.map_or(IDENTITY_WORLD, |owner| owner.identity),
            class: classes.class_of(*address),
            port: *port,
            is_local: keeps_source && owner.is_some_and(|owner| owner.endpoint != 0),
        }
    };
    let ports = targets.into_iter().map(|(port, leads)| {
        let backends = leads.backends.iter().map(|at| backend(at, leads.keeps_source));
        (*port, backends.collect())
    });
    Backends { ports: ports.collect() }
}

#[cfg(test)]
mod tests {
    use palomar_policy::service::Targets;

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
