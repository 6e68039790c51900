//! One thing that the agent did.

use std::net::IpAddr;

use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;

/// One thing that the agent did, or learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// It started.
    Started,
    /// A policy is there that was not, or is another.
    PolicyUpdated(PolicyEvent),
    /// A policy is gone.
    PolicyDeleted(PolicyEvent),
    /// An interface was found to be a pod's.
    EndpointCreated(EndpointEvent),
    /// A pod's interface is gone, or is no longer that pod's.
    EndpointDeleted(EndpointEvent),
    /// The kernel was made to hold an endpoint's newest policy.
    Regenerated(Regeneration),
    /// An address is somebody's, or somebody else's.
    AddressUpserted(AddressEvent),
    /// An address is nobody's any more.
    AddressDeleted(AddressEvent),
}

/// A policy that came, changed or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEvent {
    /// The policy.
    pub name: ObjectName,
    /// How many ingress and egress rules it has, or had.
    pub rules: usize,
    /// The newest policy revision in the kernel once the change was made; 0 before the first.
    pub revision: u32,
}

/// An endpoint that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointEvent {
    /// Its number, the interface index.
    pub id: u32,
    /// Its pod.
    pub pod: ObjectName,
    /// The pod's identity labels.
    pub labels: LabelSet,
}

/// What came of bringing an endpoint's newest policy into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regeneration {
    /// The endpoint's number, the interface index.
    pub id: u32,
    /// The pod's identity labels.
    pub labels: LabelSet,
    /// Why it failed; `None` where it succeeded.
    pub error: Option<String>,
}

/// An address whose owner changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressEvent {
    /// The address.
    pub address: IpAddr,
    /// Whose it is now; whose it was where it is nobody's any more.
    pub identity: Identity,
    /// Whose it was, where that is another identity.
    pub old_identity: Option<Identity>,
    /// The first address of the node of its pod; `None` where the world does not tell it, or it is no pod's.
    pub host: Option<IpAddr>,
    /// The same as it was before, where it was another.
    pub old_host: Option<IpAddr>,
    /// Its pod; `None` for an address of a node.
    pub pod: Option<ObjectName>,
}
