//! What a lab is asked to build.

use std::net::IpAddr;

use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;

/// How pods are joined to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Topology {
    /// As routed CNIs do: a host route to each pod's veth, whose host end has no address; the pod's gateway is
    /// 169.254.1.1 (proxy ARP) and `fe80::1`. Pods reach each other through the node's forwarding.
    Routed,
    /// As bridge CNIs do: the host ends are ports of `cni0`, which has the gateway's address. Pods reach each other on
    /// layer 2.
    Bridge,
}

/// A pod to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSpec {
    /// Namespace and name.
    pub name: ObjectName,
    /// Its addresses; empty to have the lab give it one of each family.
    pub addresses: Vec<IpAddr>,
    /// Its labels; the lab's network does not look at them.
    pub labels: Labels,
    /// The Kubernetes object it was read from, if any, which [`crate::Lab::write_manifests`] completes.
    pub manifest: Option<serde_json::Value>,
}

// === impl PodSpec ===

impl PodSpec {
    /// A pod without labels that gets its addresses from the lab.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            name: ObjectName::new(namespace, name),
            addresses: Vec::new(),
            labels: Labels::new(),
            manifest: None,
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an address; a pod with one has no others than those added.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.addresses.push(address.into());
        self
    }
}
