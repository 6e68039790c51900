//! What a table is compiled for: the pods' internal identities, and the CIDR classes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use palomar_model::identity::Identity;
use palomar_model::labels::Labels;
use palomar_model::netpol::IpBlock;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::selector::Selector;

use crate::cidr::{CidrClass, ClassTable, Classes};
use crate::compiled::PeerKey;
use crate::service::Backends;
use crate::subject::Subject;

/// What stands behind an internal identity: everything that policies may ask of its pods but their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityLabels {
    /// The name of the pods' namespace.
    pub namespace: Arc<str>,
    /// The labels of that namespace.
    pub namespace_labels: Arc<Labels>,
    /// The pods' own labels, all of them.
    pub pod_labels: Arc<Labels>,
    /// The ports that the pods' containers give names to.
    pub named_ports: NamedPorts,
}

/// Internal identities of pods, and CIDR classes. What is not in it gets no entry of its own: only rules for every
/// peer allow it.
#[derive(Debug, Clone, Default)]
pub struct Universe {
    identities: BTreeMap<u32, IdentityLabels>,
    /// The identities of each namespace that has any, with its labels: while those change there are two kinds.
    by_namespace: HashMap<Arc<str>, Vec<Kind>>,
    classes: BTreeMap<u32, CidrClass>,
    /// The classes that each block is in.
    by_block: HashMap<IpBlock, BTreeSet<u32>>,
    services: BTreeMap<u32, Arc<Backends>>,
    behind: Behind,
}

/// Which services whom and what stands behind.
#[derive(Debug, Clone, Default)]
struct Behind {
    peers: HashMap<PeerKey, BTreeSet<u32>>,
    /// The identities of backends whose packets are delivered on this node.
    local: BTreeMap<u32, BTreeSet<u32>>,
    ports: BTreeMap<(Protocol, u16), BTreeSet<u32>>,
}

/// The labels of a namespace, and the identities of pods in it.
type Kind = (Arc<Labels>, BTreeSet<u32>);

/// A number that means something else as a key of the kernel's `rules` map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("internal identity {0} is reserved; choose from: 11 to 2147483647")]
pub struct ReservedIdentity(pub u32);

impl IdentityLabels {
    /// The pods as selectors see them.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            namespace: &self.namespace,
            namespace_labels: &self.namespace_labels,
            pod_labels: &self.pod_labels,
            named_ports: &self.named_ports,
        }
    }
}

impl Universe {
    /// Adds an internal identity, or replaces its labels. The reserved numbers (0 is any peer, 2 is the world) and
    /// those from 2³¹, which are classes, are refused.
    pub fn add_identity(&mut self, number: u32, labels: IdentityLabels) -> Result<(), ReservedIdentity> {
        if Identity(number).reserved_name().is_some() || number > ClassTable::LAST {
            return Err(ReservedIdentity(number));
        }
        self.insert(number, labels);
        Ok(())
    }

    fn insert(&mut self, number: u32, labels: IdentityLabels) {
        self.remove_identity(number);
        let kinds = self.by_namespace.entry(Arc::clone(&labels.namespace)).or_default();
        match kinds.iter_mut().find(|(own, _)| *own == labels.namespace_labels) {
            Some((_, numbers)) => drop(numbers.insert(number)),
            None => kinds.push((Arc::clone(&labels.namespace_labels), BTreeSet::from([number]))),
        }
        self.identities.insert(number, labels);
    }

    /// Takes out an identity; one that is not there changes nothing.
    pub fn remove_identity(&mut self, number: u32) {
        let Some(labels) = self.identities.remove(&number) else { return };
        if let Some(kinds) = self.by_namespace.get_mut(&labels.namespace) {
            for (_, numbers) in kinds.iter_mut() {
                numbers.remove(&number);
            }
            kinds.retain(|(_, numbers)| !numbers.is_empty());
            if kinds.is_empty() {
                self.by_namespace.remove(&labels.namespace);
            }
        }
    }

    /// Adds every class of `classes`.
    pub fn add_classes(&mut self, classes: &Classes) {
        for (number, class) in classes.iter() {
            self.add_class(number, class.clone());
        }
    }

    /// Adds a class, or replaces what it stands for.
    pub fn add_class(&mut self, number: u32, class: CidrClass) {
        self.remove_class(number);
        for block in class.blocks.iter() {
            self.by_block.entry(block.clone()).or_default().insert(number);
        }
        self.classes.insert(number, class);
    }

    /// Takes out a class; one that is not there changes nothing.
    pub fn remove_class(&mut self, number: u32) {
        let Some(class) = self.classes.remove(&number) else { return };
        for block in class.blocks.iter() {
            if self.by_block.get_mut(block).is_some_and(|numbers| forget(numbers, number)) {
                self.by_block.remove(block);
            }
        }
    }

    /// Adds a number for services with these backends, or replaces what it stands for. Services have numbers of their own.
    pub fn add_service(&mut self, number: u32, backends: Arc<Backends>) {
        self.remove_service(number);
        self.behind.add(number, &backends);
        self.services.insert(number, backends);
    }

    /// Takes out a number for services; one that is not there changes nothing.
    pub fn remove_service(&mut self, number: u32) {
        if let Some(backends) = self.services.remove(&number) {
            self.behind.remove(number, &backends);
        }
    }

    /// The part of this universe that these peers make up, a service with its backends; cheap. Peers that are not in it
    /// are passed over.
    #[must_use]
    pub fn only(&self, peers: impl IntoIterator<Item = PeerKey>) -> Self {
        let mut part = Self::default();
        let mut backends = Vec::new();
        let mut peers = peers.into_iter();
        while let Some(peer) = peers.next().or_else(|| backends.pop()) {
            match peer {
                PeerKey::Any => {}
                PeerKey::Identity(number) => {
                    if let Some(labels) = self.identities.get(&number) {
                        part.insert(number, labels.clone());
                    }
                }
                PeerKey::Class(number) => {
                    if let Some(class) = self.classes.get(&number) {
                        part.add_class(number, class.clone());
                    }
                }
                PeerKey::Service(number) => {
                    if let Some(service) = self.services.get(&number) {
                        backends.extend(service.peers());
                        part.add_service(number, Arc::clone(service));
                    }
                }
            }
        }
        part
    }

    /// The identities, by ascending number.
    pub fn identities(&self) -> &BTreeMap<u32, IdentityLabels> {
        &self.identities
    }

    /// The identities of a namespace; none where nobody is in it.
    pub(crate) fn identities_in(&self, namespace: &str) -> impl Iterator<Item = u32> {
        let kinds = self.by_namespace.get(namespace).into_iter().flatten();
        kinds.flat_map(|(_, numbers)| numbers).copied()
    }

    /// The identities of the namespaces that a selector selects.
    pub(crate) fn identities_of(&self, namespaces: &Selector) -> impl Iterator<Item = u32> {
        let kinds = self.by_namespace.values().flatten();
        let selected = kinds.filter(|(labels, _)| namespaces.matches(labels));
        selected.flat_map(|(_, numbers)| numbers).copied()
    }

    /// The classes that a block is in, ascending.
    pub(crate) fn classes_in(&self, block: &IpBlock) -> impl Iterator<Item = u32> {
        self.by_block.get(block).into_iter().flatten().copied()
    }

    /// The services that a peer stands behind, with some port.
    pub(crate) fn services_before(&self, peer: PeerKey) -> impl Iterator<Item = u32> {
        self.behind.peers.get(&peer).into_iter().flatten().copied()
    }

    /// The services that lead to one of the ports that are asked for.
    pub(crate) fn services_to(&self, is_asked: impl Fn(Protocol, u16) -> bool) -> impl Iterator<Item = u32> {
        let ports = self.behind.ports.iter().filter(move |((protocol, port), _)| is_asked(*protocol, *port));
        ports.flat_map(|(_, numbers)| numbers).copied()
    }

    /// The services that lead to local pods of the identities that are asked for.
    pub(crate) fn services_to_local(&self, is_asked: impl Fn(u32) -> bool) -> impl Iterator<Item = u32> {
        let local = self.behind.local.iter().filter(move |(identity, _)| is_asked(**identity));
        local.flat_map(|(_, numbers)| numbers).copied()
    }

    /// Services by ascending number.
    pub fn services(&self) -> &BTreeMap<u32, Arc<Backends>> {
        &self.services
    }

    /// The classes, by ascending number.
    pub fn classes(&self) -> &BTreeMap<u32, CidrClass> {
        &self.classes
    }
}

// === impl Behind ===

impl Behind {
    fn add(&mut self, number: u32, backends: &Backends) {
        for ((protocol, _), backend) in backends.each() {
            for peer in backend.peers() {
                self.peers.entry(peer).or_default().insert(number);
            }
            if backend.is_local {
                self.local.entry(backend.identity).or_default().insert(number);
            }
            self.ports.entry((protocol, backend.port)).or_default().insert(number);
        }
    }

    fn remove(&mut self, number: u32, backends: &Backends) {
        for ((protocol, _), backend) in backends.each() {
            for peer in backend.peers() {
                if self.peers.get_mut(&peer).is_some_and(|numbers| forget(numbers, number)) {
                    self.peers.remove(&peer);
                }
            }
            if self.local.get_mut(&backend.identity).is_some_and(|numbers| forget(numbers, number)) {
                self.local.remove(&backend.identity);
            }
            let port = (protocol, backend.port);
            if self.ports.get_mut(&port).is_some_and(|numbers| forget(numbers, number)) {
                self.ports.remove(&port);
            }
        }
    }
}

/// Takes out a number; says whether it was the last.
fn forget(numbers: &mut BTreeSet<u32>, number: u32) -> bool {
    numbers.remove(&number);
    numbers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_any_peer_the_world_or_a_class_are_refused() {
        let labels = IdentityLabels {
            namespace: "a".into(),
            namespace_labels: Arc::default(),
            pod_labels: Arc::default(),
            named_ports: NamedPorts::default(),
        };
        let mut universe = Universe::default();
        for (number, good) in
            [(0, false), (2, false), (10, false), (11, true), (0x7fff_ffff, true), (0x8000_0000, false)]
        {
            assert_eq!(universe.add_identity(number, labels.clone()).is_ok(), good, "{number}");
        }
        assert_eq!(universe.identities().len(), 2);
    }
}
