//! Typed handles of the maps.

mod connections;
mod counters;
mod endpoints;
mod events;
mod mapped;
mod positions;
mod settings;
mod table;

use std::io;
use std::os::fd::OwnedFd;

pub use connections::Connections;
pub use counters::Counters;
pub use endpoints::Endpoints;
pub use events::EventReader;
pub use settings::SettingsMap;
pub use table::{Entries, Table, Walk};

use crate::abi::{Address, CidrKey, Limit, LimitKey, NodePort, Rule, RuleKey};
use crate::sys;

/// Address → what the kernel knows of it.
pub type Addresses = Table<[u8; 16], Address>;
/// Prefix → CIDR class.
pub type Cidrs = Table<CidrKey, u32>;
/// Node port → number of its backends.
pub type NodePorts = Table<NodePort, u32>;
/// The policy table.
pub type Rules = Table<RuleKey, Rule>;

/// What is rate limited → its token bucket; the programs write it.
pub type Limits = Table<LimitKey, Limit>;

/// Why a map could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The kernel refused.
    #[error("cannot {action} map {map}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// On which map.
        map: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is no room; what was entered before stays.
    #[error("map {map} is full ({max_entries} entries)")]
    Full {
        /// The map.
        map: &'static str,
        /// Its capacity.
        max_entries: u32,
    },
    /// The map is pinned but is no map of this ABI.
    #[error("map {map} has not the shape that this agent knows")]
    Shape {
        /// The map.
        map: &'static str,
    },
}

impl MapError {
    pub(crate) fn kernel(action: &'static str, map: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Kernel { action, map, source }
    }
}

/// Kernel memory of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapMemory {
    /// The map.
    pub name: String,
    /// Bytes that the kernel holds for it; before kernel 6.4 an estimate for full maps.
    pub bytes: u64,
}

/// The maps of one datapath. Handles may be used from several threads.
#[derive(Debug)]
pub struct Maps {
    /// Observed interfaces.
    pub endpoints: Endpoints,
    /// Mode, epoch, heartbeat.
    pub settings: SettingsMap,
    /// Addresses.
    pub addresses: Addresses,
    /// CIDR classes.
    pub cidrs: Cidrs,
    /// Services' ports at this node's addresses.
    pub node_ports: NodePorts,
    /// Policy rules.
    pub rules: Rules,
    /// Tracked connections.
    pub connections: Connections,
    /// Who was denied, or audited, of late.
    pub limits: Limits,
    /// What the programs count.
    pub counters: Counters,
    every: Vec<(String, OwnedFd)>,
}

impl Maps {
    /// Opens handles over the maps, given by name.
    pub(crate) fn open(every: Vec<(String, OwnedFd)>) -> Result<Self, MapError> {
        let fd = |name| share(&every, name);
        Ok(Self {
            endpoints: Endpoints::open(&fd("endpoints")?, fd("endpoints_high")?)?,
            settings: SettingsMap::open(&fd("settings")?)?,
            addresses: Table::open("addresses", fd("addresses")?)?,
            cidrs: Table::open("cidrs", fd("cidrs")?)?,
            node_ports: Table::open("node_ports", fd("node_ports")?)?,
            rules: Table::open("rules", fd("rules")?)?,
            connections: Connections::open(fd("connections")?)?,
            limits: Table::open("limits", fd("limits")?)?,
            counters: Counters::open(fd("counters")?)?,
            every,
        })
    }

    /// Another descriptor of a map.
    pub(crate) fn share(&self, name: &'static str) -> Result<OwnedFd, MapError> {
        share(&self.every, name)
    }

    /// Another descriptor of a map that these have; `None` for any other name.
    pub(crate) fn share_if_known(&self, name: &str) -> Result<Option<OwnedFd>, MapError> {
        let known = self.every.iter().find(|(map, _)| map == name);
        known.map(|(_, fd)| fd.try_clone().map_err(MapError::kernel("share", "maps"))).transpose()
    }

    /// Kernel memory of every map, the ring buffer and the programs' constants included, by name.
    pub fn memory(&self) -> io::Result<Vec<MapMemory>> {
        let memory = |(name, fd): &(String, OwnedFd)| {
            Ok(MapMemory { name: name.clone(), bytes: sys::map::memory(fd)? })
        };
        self.every.iter().map(memory).collect()
    }
}

fn share(maps: &[(String, OwnedFd)], name: &'static str) -> Result<OwnedFd, MapError> {
    let (_, fd) = maps.iter().find(|(map, _)| map == name).ok_or(MapError::Shape { map: name })?;
    fd.try_clone().map_err(MapError::kernel("share", name))
}
