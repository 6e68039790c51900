//! The interfaces that are observed.

use std::mem::offset_of;
use std::os::fd::OwnedFd;

use super::mapped::Mapped;
use super::{MapError, Table};
use crate::abi::{ENDPOINTS_DENSE, Endpoint, PolicyWord};
use crate::sys;

const POLICY: usize = offset_of!(Endpoint, policy);
const UNJUDGED: usize = offset_of!(Endpoint, unjudged_udp_until);
const ID: usize = offset_of!(Endpoint, id);
const IDENTITY: usize = offset_of!(Endpoint, identity);

/// Endpoints by interface index: an array in shared memory for the low ones, a hash for the others. One writer at a
/// time is assumed; the programs read meanwhile.
#[derive(Debug)]
pub struct Endpoints {
    dense: Mapped<{ size_of::<Endpoint>() }>,
    high: Table<u32, Endpoint>,
}

impl Endpoints {
    pub(crate) fn open(dense: &OwnedFd, high: OwnedFd) -> Result<Self, MapError> {
        let shape = sys::map::shape(dense).map_err(MapError::kernel("inspect", "endpoints"))?;
        if shape.value_size as usize != size_of::<Endpoint>() || shape.max_entries != ENDPOINTS_DENSE {
            return Err(MapError::Shape { map: "endpoints" });
        }
        let dense = Mapped::open(dense, ENDPOINTS_DENSE)
            .map_err(MapError::kernel("share memory with", "endpoints"))?;
        Ok(Self { dense, high: Table::open("endpoints_high", high)? })
    }

    /// Observes an interface as `endpoint`, in place of what it was; the interface becomes observed last.
    pub fn set(&self, ifindex: u32, endpoint: &Endpoint) -> Result<(), MapError> {
        if ifindex >= ENDPOINTS_DENSE {
            return self.high.insert(&ifindex, endpoint);
        }
        let Endpoint { policy, unjudged_udp_until, id, identity } = *endpoint;
        self.dense.store_u64(ifindex, UNJUDGED, unjudged_udp_until);
        self.dense.store_u32(ifindex, IDENTITY, identity);
        self.dense.store_u64(ifindex, POLICY, policy.0);
        self.dense.store_u32(ifindex, ID, id);
        Ok(())
    }

    /// Stores a new policy at once. An interface that is not observed stays so; `false` tells it.
    pub fn set_policy(&self, ifindex: u32, policy: PolicyWord) -> Result<bool, MapError> {
        if ifindex < ENDPOINTS_DENSE {
            self.dense.store_u64(ifindex, POLICY, policy.0);
            return Ok(self.dense.load_u32(ifindex, ID) != 0);
        }
        let Some(endpoint) = self.high.get(&ifindex)? else { return Ok(false) };
        self.high.insert(&ifindex, &Endpoint { policy, ..endpoint })?;
        Ok(true)
    }

    /// The endpoint of an interface; `None` where it is not observed.
    pub fn get(&self, ifindex: u32) -> Result<Option<Endpoint>, MapError> {
        if ifindex >= ENDPOINTS_DENSE {
            return self.high.get(&ifindex);
        }
        let endpoint = Endpoint {
            policy: PolicyWord(self.dense.load_u64(ifindex, POLICY)),
            unjudged_udp_until: self.dense.load_u64(ifindex, UNJUDGED),
            id: self.dense.load_u32(ifindex, ID),
            identity: self.dense.load_u32(ifindex, IDENTITY),
        };
        Ok((endpoint.id != 0).then_some(endpoint))
    }

    /// Stops observing an interface; its packets pass unseen from then on.
    pub fn clear(&self, ifindex: u32) -> Result<(), MapError> {
        if ifindex >= ENDPOINTS_DENSE {
            return self.high.remove(&ifindex).map(drop);
        }
        self.dense.store_u32(ifindex, ID, 0);
        self.dense.store_u64(ifindex, POLICY, 0);
        self.dense.store_u32(ifindex, IDENTITY, 0);
        self.dense.store_u64(ifindex, UNJUDGED, 0);
        Ok(())
    }

    /// Every observed interface with its endpoint, by index.
    pub fn entries(&self) -> Result<Vec<(u32, Endpoint)>, MapError> {
        let mut entries = Vec::new();
        for ifindex in 0..ENDPOINTS_DENSE {
            if let Some(endpoint) = self.get(ifindex)? {
                entries.push((ifindex, endpoint));
            }
        }
        let mut high = self.high.entries()?;
        high.sort_unstable_by_key(|(ifindex, _)| *ifindex);
        entries.extend(high);
        Ok(entries)
    }
}
