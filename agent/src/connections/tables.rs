//! What is read of the kernel.

use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::{CidrKey, Connection, ConnectionKey, LimitKey, PolicyWord, address_bytes};
use palomar_bpf::{Entries, MapError, Maps, Walk};

use crate::clock::monotonic_now_ns;

/// The kernel's tables. Each call blocks for as long as the kernel takes.
pub trait ConnectionTables: Send + Sync {
    /// The kernel's clock, in which its entries are stamped: nanoseconds of `CLOCK_MONOTONIC`.
    fn now_ns(&self) -> u64;
    /// The beginning of a walk over the tracked connections.
    fn walk(&self) -> Box<dyn ConnectionWalk>;
    /// The entry of one connection; `None` where it is not tracked.
    fn connection(&self, key: &ConnectionKey) -> Result<Option<Connection>, MapError>;
    /// Entries that there is room for.
    fn capacity(&self) -> u32;
    /// The CIDR class of a world address; 0 for none.
    fn class(&self, address: IpAddr) -> Result<u32, MapError>;
    /// The policy that is in force at an interface; the default where it is not observed.
    fn policy(&self, ifindex: u32) -> Result<PolicyWord, MapError>;
    /// When the rate limit of denied and audited packets last let one of these be told, within a second and never too
    /// late; `None` where it knows of none.
    fn last_denied(&self, key: &LimitKey) -> Result<Option<u64>, MapError>;
}

/// A walk over the tracked connections.
pub trait ConnectionWalk: Send {
    /// The next entries, in no order; `None` at the end. What changes meanwhile may be missed, and what stays is not
    /// met twice.
    fn next(&mut self) -> Result<Option<Entries<'_, ConnectionKey, Connection>>, MapError>;
}

/// The maps of the loaded datapath.
#[derive(Debug, Clone)]
pub struct KernelConnections(pub Arc<Maps>);

struct KernelWalk {
    maps: Arc<Maps>,
    walk: Walk<ConnectionKey, Connection>,
}

impl ConnectionTables for KernelConnections {
    fn now_ns(&self) -> u64 {
        monotonic_now_ns()
    }

    fn walk(&self) -> Box<dyn ConnectionWalk> {
        Box::new(KernelWalk { maps: Arc::clone(&self.0), walk: self.0.connections.walk() })
    }

    fn connection(&self, key: &ConnectionKey) -> Result<Option<Connection>, MapError> {
        self.0.connections.get(key)
    }

    fn capacity(&self) -> u32 {
        self.0.connections.capacity()
    }

    fn class(&self, address: IpAddr) -> Result<u32, MapError> {
        let address = address_bytes(address);
        if let Some(known) = self.0.addresses.get(&address)? {
            return Ok(known.class);
        }
        Ok(self.0.cidrs.get(&CidrKey { prefix_len: 128, address })?.unwrap_or(0))
    }

    fn policy(&self, ifindex: u32) -> Result<PolicyWord, MapError> {
        Ok(self.0.endpoints.get(ifindex)?.map(|endpoint| endpoint.policy).unwrap_or_default())
    }

    fn last_denied(&self, key: &LimitKey) -> Result<Option<u64>, MapError> {
        Ok(self.0.limits.get(key)?.map(|limit| limit.refilled_at))
    }
}

impl ConnectionWalk for KernelWalk {
    fn next(&mut self) -> Result<Option<Entries<'_, ConnectionKey, Connection>>, MapError> {
        self.maps.connections.next(&mut self.walk)
    }
}
