//! Who is who: one immutable answer to "which pod is this address, and what is its identity?".
//!
//! A [`Directory`] joins a world with the identities given to its pods and the interfaces found on this node.
//! The control path makes a new one with each change; the event path and the API read it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, World};

/// A snapshot of who is who.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Raised by one with each new directory; 0 for the empty one of the start.
    pub version: u64,
    /// When it came into force, in nanoseconds of `CLOCK_MONOTONIC`; 0 for the empty one of the start.
    pub made_at_ns: u64,
    /// The world it was made from.
    pub world: Arc<World>,
    /// This node's name.
    pub node_name: Arc<str>,
    /// The name of the cluster.
    pub cluster: Arc<str>,
    /// Every pod of the world, host-network pods among them.
    pub pods: BTreeMap<ObjectName, Arc<PodEntry>>,
    /// Pods that have an address of their own, by address. Host-network pods are not here.
    pub addresses: HashMap<IpAddr, Arc<PodEntry>>,
    /// Services by cluster address.
    pub services: HashMap<IpAddr, ObjectName>,
    /// Addresses of this node's own interfaces.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Addresses of the world's other nodes.
    pub remote_nodes: BTreeSet<IpAddr>,
    /// The observed interfaces of this node, by interface index.
    pub endpoints: BTreeMap<u32, Arc<LocalEndpoint>>,
    /// What each internal identity is, those of pods that have gone for less than an hour included.
    pub identities: HashMap<u32, (Identity, LabelSet)>,
}

/// A pod with what Palomar knows of it.
#[derive(Debug, Clone)]
pub struct PodEntry {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The kernel's identity of it.
    pub internal_identity: u32,
    /// The end that flows show.
    pub flow_endpoint: Arc<FlowEndpoint>,
}

/// An observed interface.
#[derive(Debug, Clone)]
pub struct LocalEndpoint {
    /// The number that flows show: the interface index.
    pub id: u32,
    /// The interface's name when it was last listed.
    pub interface: Arc<str>,
    /// The pod behind it; `None` for an interface that no pod of the world is known for.
    pub pod: Option<Arc<PodEntry>>,
    /// The addresses found behind it, or the pod's, when the interface told none.
    pub addresses: Vec<IpAddr>,
}

impl Directory {
    /// A directory that knows nobody.
    pub fn empty(node_name: Arc<str>, cluster: Arc<str>) -> Self {
        Self {
            version: 0,
            made_at_ns: 0,
            world: Arc::new(World::default()),
            node_name,
            cluster,
            pods: BTreeMap::new(),
            addresses: HashMap::new(),
            services: HashMap::new(),
            node_addresses: BTreeSet::new(),
            remote_nodes: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            identities: HashMap::new(),
        }
    }
}
