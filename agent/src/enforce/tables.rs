//! The kernel's policy tables as `enforce` needs them: a trait, so that the order of writes can be tested against
//! a table that judges packets in between.

use std::io;

use palomar_bpf::abi::{Address, CidrKey, Endpoint, NodePort, PolicyWord, Rule, RuleKey};

/// Why a write to the kernel's tables failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} in the kernel's table {table}")]
pub struct TableError {
    /// What was tried, e.g. `insert 12 entries`.
    pub action: String,
    /// The name of the table.
    pub table: &'static str,
    /// The kernel's answer; `ENOSPC` or `E2BIG` where the table is full.
    #[source]
    pub source: io::Error,
}

/// What the tables hold, as an adopting agent finds it.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Table `addresses`.
    pub addresses: Vec<([u8; 16], Address)>,
    /// Table `cidrs`.
    pub cidrs: Vec<(CidrKey, u32)>,
    /// Table `node_ports`.
    pub node_ports: Vec<(NodePort, u32)>,
    /// Table `rules`.
    pub rules: Vec<(RuleKey, Rule)>,
    /// Tables `endpoints` and `endpoints_high`: the observed interfaces, by interface index.
    pub endpoints: Vec<(u32, Endpoint)>,
}

/// The kernel's policy tables. Each write is whole for one entry; the order of calls is the order of effects.
pub trait PolicyTables {
    /// Everything the tables hold.
    fn contents(&self) -> Result<Contents, TableError>;
    /// Inserts rules, or replaces those of the same keys.
    fn insert_rules(&mut self, rules: &[(RuleKey, Rule)]) -> Result<(), TableError>;
    /// Removes rules; a key that is not there is no error.
    fn remove_rules(&mut self, keys: &[RuleKey]) -> Result<(), TableError>;
    /// Inserts or replaces an address.
    fn set_address(&mut self, address: [u8; 16], value: Address) -> Result<(), TableError>;
    /// Removes an address: it is world from now on. One that is not there is no error.
    fn remove_address(&mut self, address: [u8; 16]) -> Result<(), TableError>;
    /// Inserts or replaces the class of a prefix.
    fn set_cidr(&mut self, prefix: CidrKey, class: u32) -> Result<(), TableError>;
    /// Removes a prefix; one that is not there is no error.
    fn remove_cidr(&mut self, prefix: CidrKey) -> Result<(), TableError>;
    /// Inserts or replaces the number of the backends behind a port of the node's addresses.
    fn set_node_port(&mut self, port: NodePort, backends: u32) -> Result<(), TableError>;
    /// Removes such a port: it is the node's own from now on. One that is not there is no error.
    fn remove_node_port(&mut self, port: NodePort) -> Result<(), TableError>;
    /// Begins to observe an interface, or replaces all that is known of it.
    fn set_endpoint(&mut self, ifindex: u32, endpoint: Endpoint) -> Result<(), TableError>;
    /// Stores the policy word of an observed interface at once, leaving the rest.
    fn set_policy(&mut self, ifindex: u32, policy: PolicyWord) -> Result<(), TableError>;
    /// Ends observing an interface; one that is not observed is no error.
    fn remove_endpoint(&mut self, ifindex: u32) -> Result<(), TableError>;
}
