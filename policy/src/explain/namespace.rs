//! A namespace as selectors see it, as far as it is known.

use palomar_model::labels::Labels;
use palomar_model::netpol::Peer;
use palomar_model::selector::{Requirement, Selector};
use palomar_model::world::World;

use crate::subject::Subject;

/// The labels of a namespace. Of one that nobody told of, there is still the label that every namespace has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamespaceFacts {
    pub(super) labels: Labels,
    is_told: bool,
}

impl NamespaceFacts {
    pub(super) fn of(world: &World, name: &str) -> Self {
        Self { labels: world.namespace_labels(name), is_told: world.namespaces.contains_key(name) }
    }

    /// The first requirement that does not hold, whatever the labels that nobody told of.
    pub(super) fn first_failing<'s>(&self, selector: &'s Selector) -> Option<&'s Requirement> {
        selector.requirements.iter().find(|requirement| self.meets(requirement) == Some(false))
    }

    /// Whether a requirement holds; `None`: it asks for a label that nobody told of.
    fn meets(&self, requirement: &Requirement) -> Option<bool> {
        let is_known = self.is_told || self.labels.contains_key(requirement.key());
        is_known.then(|| requirement.matches(&self.labels))
    }

    /// Whether the selectors of a peer select a pod of this namespace; `None`: it hangs on a label that nobody told of.
    /// `own` is the namespace of the policy.
    pub(super) fn is_selected(&self, pod: Subject<'_>, peer: &Peer, own: &str) -> Option<bool> {
        match peer {
            Peer::Pods { namespaces: Some(namespaces), pods } if !self.is_told => {
                let matches_pod = pods.as_ref().is_none_or(|pods| pods.matches(pod.pod_labels));
                if matches_pod { self.matches(namespaces) } else { Some(false) }
            }
            _ => Some(pod.is_selected_by(peer, own)),
        }
    }

    /// One requirement that does not hold decides, whatever else is not known.
    fn matches(&self, selector: &Selector) -> Option<bool> {
        if self.first_failing(selector).is_some() {
            return Some(false);
        }
        let is_met = |requirement| self.meets(requirement) == Some(true);
        selector.requirements.iter().all(is_met).then_some(true)
    }
}
