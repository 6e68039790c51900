//! What the control path knows and the API tells: replaced whole with each change.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_bpf::Hook;
use palomar_model::attribution::PolicyRef;
use palomar_model::object::ObjectName;

use super::history::History;
use crate::directory::Directory;
use crate::world::VersionedWorld;

/// How an interface is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachState {
    /// Not tried yet.
    Pending,
    /// Both programs are there; whether each sees packets before all others: to the pod, from the pod.
    Attached {
        /// The hook in use.
        hook: Hook,
        /// Of the program for packets to the pod.
        ingress_first: bool,
        /// Of the program for packets from the pod.
        egress_first: bool,
    },
    /// It failed; it is tried again.
    Failed(String),
}

/// What is in force at an observed interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFacts {
    /// How it is attached.
    pub attach: AttachState,
    /// Whether denied packets of this endpoint are dropped while the mode is enforce.
    pub enforced: bool,
    /// The policies that isolate ingress, sorted; empty: not isolated.
    pub ingress_policies: Arc<[PolicyRef]>,
    /// The policies that isolate egress, sorted; empty: not isolated.
    pub egress_policies: Arc<[PolicyRef]>,
    /// The revision in force in the kernel; 0 before the first.
    pub revision: u32,
    /// The policy set under which the kernel holds its rules.
    pub policy_set: u32,
}

/// Everything the API tells of the control path.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who is who.
    pub directory: Arc<Directory>,
    /// By interface index.
    pub endpoints: Arc<BTreeMap<u32, EndpointFacts>>,
    /// Pods that claim an address which another pod has, with that pod.
    pub contested: Vec<(ObjectName, IpAddr, ObjectName)>,
    /// The world's version, and what was refused.
    pub world: Arc<VersionedWorld>,
    /// Why the kernel does not hold the newest world; `None` where it does.
    pub failure: Option<String>,
    /// The objects that the kernel holds, and since when: those of the newest world that it could be made to hold.
    pub history: Arc<History>,
}

impl Facts {
    /// What is known before the first pass.
    pub fn of(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            endpoints: Arc::default(),
            contested: Vec::new(),
            world: Arc::default(),
            failure: None,
            history: Arc::default(),
        }
    }
}

/// The newest facts.
pub type SharedFacts = Arc<ArcSwap<Facts>>;
