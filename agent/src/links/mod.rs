//! The node's veths and addresses, followed over rtnetlink; pods' namespaces are not entered.
//!
//! An address that appears in a pod's namespace tells the node nothing. So a veth that is new or has changed is asked
//! for its peer's addresses again and again for some seconds, and [`Follower::refresh`] asks for all of them.
//!
//! `CAP_NET_ADMIN` is all that is needed.

mod follow;
mod query;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

pub use follow::Follower;

/// A veth whose other end is in another network namespace: a pod's, as far as can be told here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Index of the end on the node.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Index of the other end, in its own namespace.
    pub peer: u32,
    /// The other end's namespace, by the number that the node's namespace knows it by.
    pub namespace: i32,
    /// Addresses of the other end, in order, without the link-local ones; empty while none is known.
    pub addresses: Vec<IpAddr>,
}

/// What the node has, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Veths by the index of their end on the node. Those with both ends on the node are left out.
    pub veths: BTreeMap<u32, Link>,
    /// Addresses of all interfaces of the node, bridges included; link-local ones as well, loopback ones not.
    pub node_addresses: BTreeSet<IpAddr>,
}

/// Why links cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// The first look failed.
    #[error("cannot {action} over rtnetlink")]
    Netlink {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start the thread that follows links")]
    Thread(#[source] io::Error),
}

impl LinksError {
    fn netlink(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Netlink { action, source }
    }
}
