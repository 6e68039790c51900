//! Numbers for label sets: the identities that flows show, and the kernel's own.
//!
//! | number | stands for | range |
//! |---|---|---|
//! | [`Identity`] | the labels of a pod without those that change with each replica | 256–65535 |
//! | [`InternalId`] | everything that a policy may ask of a pod, those labels included | 256–2³¹−1 |
//! | [`cidr_identity`] | world addresses inside the same policy ipBlocks | 16777216 + CIDR class |
//!
//! Many internal ids show as one identity. A label set keeps its number for as long as a pod has it and an hour longer;
//! after that the number may be given away, the one that has been unused longest first. Both numbers begin at a hash of
//! what they stand for (FNV-1a, see `hash.rs`) and take the next free one on a clash, so that nodes agree and that even a lost state
//! file changes only the numbers of label sets that clash.

mod cidr;
mod hash;
mod numbers;
mod registry;
mod saved;
mod service;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use palomar_model::identity::{Identity, PodIdentityParts};
use palomar_model::labels::{LabelSet, Labels};
use palomar_model::object::ObjectName;
use palomar_model::ports::NamedPorts;
use palomar_model::shared_map::SharedMap;
use palomar_model::world::{Pod, World};

pub use cidr::cidr_identity;
pub use registry::{OpenError, Registry};
pub use service::start_of_service;

/// The number that the kernel knows a pod's labels by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalId(pub u32);

impl InternalId {
    /// Nothing is known of the pod.
    pub const UNKNOWN: Self = Self(0);
    /// The least that is given.
    pub const FIRST: u32 = 256;
    /// The greatest that is given; above it the kernel's maps hold CIDR classes.
    pub const LAST: u32 = 0x7fff_ffff;
}

impl fmt::Display for InternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Everything that a policy may ask of a pod, except its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodFacts {
    /// The name of the pod's namespace.
    pub namespace: Arc<str>,
    /// The labels of that namespace.
    pub namespace_labels: Arc<Labels>,
    /// The pod's service account.
    pub service_account: Arc<str>,
    /// The pod's own labels, all of them.
    pub pod_labels: Arc<Labels>,
    /// The ports that its containers give names to.
    pub named_ports: NamedPorts,
}

impl PodFacts {
    /// What the world says of a pod.
    pub fn of(pod: &Pod, world: &World) -> Self {
        Self {
            namespace: pod.name.namespace.as_str().into(),
            namespace_labels: Arc::new(world.namespace_labels(&pod.name.namespace)),
            service_account: pod.service_account.as_str().into(),
            pod_labels: Arc::new(pod.labels.clone()),
            named_ports: pod.named_ports.clone(),
        }
    }

    /// The labels that the pod's identity stands for.
    pub fn identity_labels(&self, cluster: &str) -> LabelSet {
        let Self { namespace, namespace_labels, service_account, pod_labels, named_ports: _ } = self;
        PodIdentityParts { cluster, namespace, namespace_labels, service_account, pod_labels }.labels()
    }
}

/// The numbers of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// The kernel's; [`InternalId::UNKNOWN`] where no number was left.
    pub internal: InternalId,
    /// The one that is shown; [`Identity::UNKNOWN`] where no number was left.
    pub identity: Identity,
    /// What the identity stands for; the labels of `unknown` where no number was left.
    pub labels: LabelSet,
}

/// The numbers of a world's pods.
#[derive(Debug, Clone, Default)]
pub struct Assigned {
    /// By pod. Pods that share the node's network are not here: their packets are the node's.
    pub pods: SharedMap<ObjectName, PodIdentity>,
    /// Set where no number was left for some of them.
    pub exhausted: Option<Exhausted>,
}

/// No identity is left. The pods are treated as unknown, never as others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no identity is left for {} pods, {} among them: all {} numbers stand for label sets that are in use or were within \
     the hour; the pods are unknown until numbers are free: find the label whose value differs from pod to pod",
    pods.len(),
    pods.first().map(ToString::to_string).unwrap_or_default(),
    Identity::LAST_POD - Identity::FIRST_POD + 1
)]
pub struct Exhausted {
    /// The pods without a number; never empty.
    pub pods: Vec<ObjectName>,
}

/// An identity as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedIdentity {
    /// Its number.
    pub identity: Identity,
    /// What it stands for.
    pub labels: LabelSet,
    /// Whether a pod has it; always so for reserved ones.
    pub is_used: bool,
}
