//! The kernel's policy tables behind [`PolicyTables`], and the drops that it tells of by itself.

mod foreign;

use std::io;
use std::sync::Arc;

use palomar_bpf::abi::{Address, CidrKey, Endpoint, NodePort, PolicyWord, Rule, RuleKey};
use palomar_bpf::{MapError, Maps};

use crate::enforce::{Contents, PolicyTables, TableError};
pub use foreign::{Foreign, load as foreign_drops};

/// The maps of the loaded datapath.
#[derive(Debug, Clone)]
pub struct KernelTables(pub Arc<Maps>);

fn refused(table: &'static str, action: impl Into<String>) -> impl FnOnce(MapError) -> TableError {
    let action = action.into();
    move |error| TableError { action, table, source: io::Error::other(error) }
}

impl PolicyTables for KernelTables {
    fn contents(&self) -> Result<Contents, TableError> {
        let read = "read all entries";
        Ok(Contents {
            addresses: self.0.addresses.entries().map_err(refused("addresses", read))?,
            cidrs: self.0.cidrs.entries().map_err(refused("cidrs", read))?,
            node_ports: self.0.node_ports.entries().map_err(refused("node_ports", read))?,
            rules: self.0.rules.entries().map_err(refused("rules", read))?,
            endpoints: self.0.endpoints.entries().map_err(refused("endpoints", read))?,
        })
    }

    fn insert_rules(&mut self, rules: &[(RuleKey, Rule)]) -> Result<(), TableError> {
        let action = format!("insert {} entries", rules.len());
        self.0.rules.insert_all(rules.iter().copied()).map_err(refused("rules", action))
    }

    fn remove_rules(&mut self, keys: &[RuleKey]) -> Result<(), TableError> {
        let action = format!("remove {} entries", keys.len());
        self.0.rules.remove_all(keys.iter().copied()).map(drop).map_err(refused("rules", action))
    }

    fn set_address(&mut self, address: [u8; 16], value: Address) -> Result<(), TableError> {
        self.0.addresses.insert(&address, &value).map_err(refused("addresses", "insert an entry"))
    }

    fn remove_address(&mut self, address: [u8; 16]) -> Result<(), TableError> {
        self.0.addresses.remove(&address).map(drop).map_err(refused("addresses", "remove an entry"))
    }

    fn set_cidr(&mut self, prefix: CidrKey, class: u32) -> Result<(), TableError> {
        self.0.cidrs.insert(&prefix, &class).map_err(refused("cidrs", "insert an entry"))
    }

    fn remove_cidr(&mut self, prefix: CidrKey) -> Result<(), TableError> {
        self.0.cidrs.remove(&prefix).map(drop).map_err(refused("cidrs", "remove an entry"))
    }

    fn set_node_port(&mut self, port: NodePort, backends: u32) -> Result<(), TableError> {
        self.0.node_ports.insert(&port, &backends).map_err(refused("node_ports", "insert an entry"))
    }

    fn remove_node_port(&mut self, port: NodePort) -> Result<(), TableError> {
        self.0.node_ports.remove(&port).map(drop).map_err(refused("node_ports", "remove an entry"))
    }

    fn set_endpoint(&mut self, ifindex: u32, endpoint: Endpoint) -> Result<(), TableError> {
        self.0.endpoints.set(ifindex, &endpoint).map_err(refused("endpoints", "set an entry"))
    }

    fn set_policy(&mut self, ifindex: u32, policy: PolicyWord) -> Result<(), TableError> {
        self.0.endpoints.set_policy(ifindex, policy).map(drop).map_err(refused("endpoints", "store a policy"))
    }

    fn remove_endpoint(&mut self, ifindex: u32) -> Result<(), TableError> {
        self.0.endpoints.clear(ifindex).map_err(refused("endpoints", "clear an entry"))
    }
}
