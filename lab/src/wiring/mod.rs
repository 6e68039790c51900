//! Which links, addresses and routes make a node: lines for `ip -batch`, without running them.

mod bridge;
mod routed;
mod uplink;

use std::net::IpAddr;

use palomar_model::object::ObjectName;

use crate::address::{mac_of, mac_text};
use crate::{Topology, name};

pub(crate) use uplink::{UPLINK, node as uplink_node, outside as uplink_outside};

/// The pod's own end of its veth.
pub(crate) const POD_INTERFACE: &str = "eth0";

/// One pod's cable.
#[derive(Debug, Clone)]
pub(crate) struct Cable {
    /// The host end.
    pub(crate) host: String,
    /// The pod's network namespace.
    pub(crate) netns: String,
    /// The pod's addresses, at least one.
    pub(crate) addresses: Vec<IpAddr>,
}

// === impl Cable ===

impl Cable {
    pub(crate) fn new(topology: Topology, pod: &ObjectName, netns: String, addresses: Vec<IpAddr>) -> Self {
        let prefix = match topology {
            Topology::Routed => "lxc",
            Topology::Bridge => "veth",
        };
        Self { host: name::host_interface(prefix, pod), netns, addresses }
    }

    /// The line that makes both ends, with the words that describe the host end.
    fn link(&self, host_words: &str) -> String {
        let Self { host, netns, addresses } = self;
        let mac = addresses
            .first()
            .map_or_else(String::new, |first| format!("address {} ", mac_text(mac_of(*first))));
        format!("link add name {host} {host_words}type veth peer name {POD_INTERFACE} {mac}netns {netns}")
    }
}

// === impl Topology ===

impl Topology {
    /// Lines for the node, before pods are joined to it.
    pub(crate) fn node_lines(self) -> Vec<String> {
        match self {
            Self::Routed => Vec::new(),
            Self::Bridge => bridge::node(),
        }
    }

    /// Lines for the node that join a pod to it.
    pub(crate) fn host_lines(self, cable: &Cable) -> Vec<String> {
        match self {
            Self::Routed => routed::host(cable),
            Self::Bridge => bridge::host(cable),
        }
    }

    /// Settings of the node for a pod's host end, after those.
    pub(crate) fn host_settings(self, cable: &Cable) -> Vec<(String, &'static str)> {
        match self {
            Self::Routed => routed::host_settings(&cable.host),
            Self::Bridge => Vec::new(),
        }
    }

    /// Lines for the pod's namespace, after those.
    pub(crate) fn pod_lines(self, cable: &Cable) -> Vec<String> {
        let mut lines = vec!["link set lo up".to_owned(), format!("link set {POD_INTERFACE} up")];
        lines.extend(match self {
            Self::Routed => routed::pod(cable),
            Self::Bridge => bridge::pod(cable),
        });
        lines
    }
}

/// `address/length dev interface`, for `addr add`. IPv6 addresses are usable at once.
fn address_line(address: IpAddr, length: u8, interface: &str) -> String {
    let nodad = if address.is_ipv6() { " nodad" } else { "" };
    format!("addr add {address}/{length} dev {interface}{nodad}")
}

/// One of two lengths.
fn by_family(address: IpAddr, v4: u8, v6: u8) -> u8 {
    if address.is_ipv4() { v4 } else { v6 }
}
