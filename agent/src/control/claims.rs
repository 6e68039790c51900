//! Which pods say that an address is theirs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use palomar_model::object::ObjectName;

/// Addresses with the pods that claim them. The first by name has it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    all: BTreeSet<(IpAddr, ObjectName)>,
    /// The addresses that more than one pod claims.
    contested: BTreeSet<IpAddr>,
}

impl Claims {
    pub(super) fn insert(&mut self, address: IpAddr, pod: &ObjectName) {
        self.all.insert((address, pod.clone()));
        if self.claimants(address).nth(1).is_some() {
            self.contested.insert(address);
        }
    }

    pub(super) fn remove(&mut self, address: IpAddr, pod: &ObjectName) {
        self.all.remove(&(address, pod.clone()));
        if self.claimants(address).nth(1).is_none() {
            self.contested.remove(&address);
        }
    }

    /// Who has an address; `None`: nobody claims it.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&ObjectName> {
        self.claimants(address).next()
    }

    /// Pods that claim an address which another pod has, with that pod; in the order of their names.
    pub(super) fn contested(&self) -> Vec<(ObjectName, IpAddr, ObjectName)> {
        let of = |address: &IpAddr| {
            let address = *address;
            let others = self.claimants(address).skip(1);
            let owner = self.owner(address);
            others.filter_map(move |pod| Some((pod.clone(), address, owner?.clone())))
        };
        let mut contested: Vec<_> = self.contested.iter().flat_map(of).collect();
        contested.sort();
        contested
    }

    fn claimants(&self, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
        let from = self.all.range((address, ObjectName::new("", ""))..);
        from.take_while(move |(other, _)| *other == address).map(|(_, pod)| pod)
    }
}
