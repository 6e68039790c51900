//! What a table is compiled for: the pods' internal identities, and the CIDR classes.

use std::collections::BTreeMap;
use std::sync::Arc;

use palomar_model::identity::Identity;
use palomar_model::labels::Labels;
use palomar_model::ports::NamedPorts;

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
    classes: BTreeMap<u32, CidrClass>,
    services: BTreeMap<u32, Arc<Backends>>,
}

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
        self.identities.insert(number, labels);
        Ok(())
    }

    /// Adds every class of `classes`.
    pub fn add_classes(&mut self, classes: &Classes) {
        self.classes.extend(classes.iter().map(|(number, class)| (number, class.clone())));
    }

    /// Adds a number for services with these backends, or replaces what it stands for. Services have numbers of their own.
    pub fn add_service(&mut self, number: u32, backends: Arc<Backends>) {
        self.services.insert(number, backends);
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
                    part.identities
                        .extend(self.identities.get(&number).map(|labels| (number, labels.clone())));
                }
                PeerKey::Class(number) => {
                    part.classes.extend(self.classes.get(&number).map(|class| (number, class.clone())));
                }
                PeerKey::Service(number) => {
                    if let Some(service) = self.services.get(&number) {
                        backends.extend(service.peers());
                        part.services.insert(number, Arc::clone(service));
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

    /// Services by ascending number.
    pub fn services(&self) -> &BTreeMap<u32, Arc<Backends>> {
        &self.services
    }

    /// The classes, by ascending number.
    pub fn classes(&self) -> &BTreeMap<u32, CidrClass> {
        &self.classes
    }
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
