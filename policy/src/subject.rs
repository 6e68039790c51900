//! A pod as selectors see it.

use palomar_model::labels::Labels;
use palomar_model::netpol::Peer;
use palomar_model::ports::NamedPorts;
use palomar_model::selector::Selector;
use palomar_model::world::{Pod, Stage, World};

/// A pod, by what policies may ask of it. Never a host-network pod: selectors do not reach those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The name of its namespace.
    pub namespace: &'a str,
    /// The labels of its namespace, `kubernetes.io/metadata.name` among them.
    pub namespace_labels: &'a Labels,
    /// All labels of the pod itself, those that stay out of its identity too.
    pub pod_labels: &'a Labels,
    /// The ports that its containers give names to.
    pub named_ports: &'a NamedPorts,
}

impl Subject<'_> {
    /// Whether the selectors of a peer select this pod. `own` is the namespace of the policy, where a peer without
    /// a namespace selector looks. An ipBlock selects no pod by its labels.
    pub fn is_selected_by(self, peer: &Peer, own: &str) -> bool {
        let Peer::Pods { namespaces, pods } = peer else { return false };
        let namespace_matches = match namespaces {
            None => self.namespace == own,
            Some(selector) => selector.matches(self.namespace_labels),
        };
        namespace_matches && pods.as_ref().is_none_or(|selector: &Selector| selector.matches(self.pod_labels))
    }
}

/// Whether a peer of a rule selects a pod of the world. `own` is the namespace of the policy. Host-network pods and pods that
/// have ended are selected by none.
pub fn selects_pod(world: &World, peer: &Peer, own: &str, pod: &Pod) -> bool {
    if pod.host_network || pod.stage == Stage::Ended {
        return false;
    }
    let namespace_labels = world.namespace_labels(&pod.name.namespace);
    let subject = Subject {
        namespace: &pod.name.namespace,
        namespace_labels: &namespace_labels,
        pod_labels: &pod.labels,
        named_ports: &pod.named_ports,
    };
    subject.is_selected_by(peer, own)
}
