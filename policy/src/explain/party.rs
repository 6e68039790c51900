//! The ends of a connection: who has a name or an address.

use std::fmt;
use std::net::IpAddr;

use palomar_model::world::{Pod, Service, Stage};

use super::index::{Index, Owner};
use super::missing::Missing;
use super::question::End;

/// One end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party<'w> {
    /// Who it is.
    pub standing: Standing<'w>,
    /// Its address on this path; `None` for a pod that has none yet.
    pub address: Option<IpAddr>,
}

/// Who an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'w> {
    /// A pod with an address of its own, which policies judge.
    Pod(&'w Pod),
    /// A node, or a pod that shares its network: no selector reaches it and no policy judges it.
    Node {
        /// The node's name; empty where it is not known.
        name: &'w str,
        /// The host-network pod that was asked for, if it was one.
        pod: Option<&'w Pod>,
    },
    /// Whoever a node hides behind its address, which is all that is seen. Egress was judged where it came from.
    Masked,
    /// A service's address, or a node's with a port of a service, where it is not known who answers. No selector and no
    /// ipBlock reaches that.
    Service(&'w Service),
    /// Anyone else.
    World,
}

/// An end that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'w> {
    Party(Standing<'w>, Vec<IpAddr>),
    /// A service, and the one of its addresses that was asked for; at least one. Of several any may answer.
    Services(Vec<&'w Service>, Option<IpAddr>),
}

/// Looks an end up.
pub(super) fn find<'w>(index: &Index<'w>, end: &End) -> Result<Found<'w>, Missing> {
    let world = index.world();
    match end {
        End::Address(address) => find_address(index, *address),
        End::Masked(address) => Ok(Found::Party(Standing::Masked, vec![*address])),
        End::Pod(name) => match world.pods.get(name) {
            Some(pod) => find_pod(index, pod),
            None => Err(Missing::Pod { name: name.clone(), near_names: index.near_names(name) }),
        },
        End::Service(name) => match world.services.get(name) {
            Some(service) => Ok(Found::Services(vec![service], None)),
            None => Err(Missing::Service { name: name.clone() }),
        },
        End::Named(name) => match (world.pods.get(name), world.services.get(name)) {
            (Some(pod), _) => find_pod(index, pod),
            (None, Some(service)) => Ok(Found::Services(vec![service], None)),
            (None, None) => {
                Err(Missing::PodOrService { name: name.clone(), near_names: index.near_names(name) })
            }
        },
    }
}

pub(super) fn find_address<'w>(index: &Index<'w>, address: IpAddr) -> Result<Found<'w>, Missing> {
    let standing = match index.owner(address) {
        None => Standing::World,
        Some(Owner::Pod(pod)) => Standing::Pod(pod),
        Some(Owner::Node(name, pod)) => Standing::Node { name, pod: *pod },
        Some(Owner::Services(services)) => return Ok(Found::Services(services.clone(), Some(address))),
        Some(Owner::Pods(pods)) => {
            return Err(Missing::Owner { address, pods: pods.iter().map(|pod| pod.name.clone()).collect() });
        }
    };
    Ok(Found::Party(standing, vec![address]))
}

fn find_pod<'w>(index: &Index<'w>, pod: &'w Pod) -> Result<Found<'w>, Missing> {
    if pod.stage == Stage::Ended {
        return Err(Missing::Ended { name: pod.name.clone() });
    }
    if pod.host_network {
        return Ok(Found::Party(Standing::Node { name: &pod.node, pod: Some(pod) }, pod.addresses.clone()));
    }
    pod.addresses.iter().try_for_each(|address| index.check_owner(pod, *address))?;
    Ok(Found::Party(Standing::Pod(pod), pod.addresses.clone()))
}

/// Where a connection from this end may begin; never empty.
pub(super) fn sources<'w>(from: &Found<'w>) -> Result<Vec<Party<'w>>, Missing> {
    match from {
        Found::Party(standing, addresses) => Ok(standing.at_each(addresses)),
        Found::Services(services, _) => Err(Missing::Client { service: services[0].name.clone() }),
    }
}

// === impl Standing ===

impl<'w> Standing<'w> {
    /// Without an address where there is none.
    pub(super) fn at_each(self, addresses: &[IpAddr]) -> Vec<Party<'w>> {
        if addresses.is_empty() {
            return vec![Party { standing: self, address: None }];
        }
        addresses.iter().map(|address| Party { standing: self, address: Some(*address) }).collect()
    }
}

// === impl Party ===

impl<'w> Party<'w> {
    /// The pod that policies judge; `None` where the end is none.
    pub const fn judged_pod(&self) -> Option<&'w Pod> {
        match self.standing {
            Standing::Pod(pod) => Some(pod),
            Standing::Node { .. } | Standing::Masked | Standing::Service(_) | Standing::World => None,
        }
    }

    /// The node that it is on; `None`: it is not known.
    pub(super) fn node(&self) -> Option<&'w str> {
        let node = match self.standing {
            Standing::Pod(pod) => pod.node.as_str(),
            Standing::Node { name, pod: _ } => name,
            Standing::Masked | Standing::Service(_) | Standing::World => "",
        };
        Some(node).filter(|node| !node.is_empty())
    }
}

/// `np-demo/web`, `np-demo/proxy (host network of n1)`, `node n1 (10.0.0.1)`, `192.0.2.1`
impl fmt::Display for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.standing, self.address) {
            (Standing::Pod(pod), _) => write!(f, "{}", pod.name),
            (Standing::Node { name, pod: Some(pod) }, _) => {
                write!(f, "{} (host network", pod.name)?;
                if name.is_empty() { f.write_str(")") } else { write!(f, " of node {name})") }
            }
            (Standing::Node { name, pod: None }, Some(address)) => write!(f, "node {name} ({address})"),
            (Standing::Node { name, pod: None }, None) => write!(f, "node {name}"),
            (Standing::Masked, Some(address)) => write!(f, "whoever {address} hides"),
            (Standing::Service(service), Some(address)) => write!(f, "service {} ({address})", service.name),
            (Standing::Service(service), None) => write!(f, "service {}", service.name),
            (Standing::World, Some(address)) => write!(f, "{address}"),
            (Standing::Masked | Standing::World, None) => f.write_str("the world"),
        }
    }
}
