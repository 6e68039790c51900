//! What the kernel is to hold: made from the directory by the control path.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::netpol::IpBlock;
use palomar_model::shared_map::SharedMap;
use palomar_policy::cidr::PortName;
use palomar_policy::service::Targets;
use palomar_policy::{IdentityLabels, PolicySet};

/// Everything the tables are made from. What is the same as before is best shared with what was desired then: the
/// enforcer looks at what is different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The observed interfaces, by interface index.
    pub endpoints: BTreeMap<u32, DesiredEndpoint>,
    /// The addresses whose owner is known.
    pub addresses: SharedMap<IpAddr, DesiredAddress>,
    /// The labels behind each internal identity: those in use, and those that lately were.
    pub identities: SharedMap<u32, IdentityLabels>,
    /// Where the ports of service addresses lead; empty where no endpoint is isolated for egress.
    pub services: SharedMap<IpAddr, Arc<Targets>>,
    /// Where the ports of services at this node's own addresses lead, in IPv4 and in IPv6; empty as well where no endpoint
    /// is.
    pub node_ports: [Arc<Targets>; 2],
    /// Every ipBlock of the world's policies.
    pub blocks: Arc<BTreeSet<IpBlock>>,
    /// Every named port that they ask for inside an ipBlock.
    pub port_names: Arc<BTreeSet<PortName>>,
}

impl Desired {
    /// The numbers of the endpoints that stand behind services.
    pub fn serving(&self) -> BTreeSet<u32> {
        let targets = self.services.values().chain(&self.node_ports);
        let backends = targets.flat_map(|targets| targets.values()).flat_map(|leads| &leads.backends);
        let endpoints = backends.filter_map(|(address, _)| Some(self.addresses.get(address)?.endpoint));
        endpoints.filter(|endpoint| *endpoint != 0).collect()
    }
}

/// One observed interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredEndpoint {
    /// The number that flows show.
    pub id: u32,
    /// Internal identity of the pod behind it.
    pub identity: u32,
    /// The policies that select the pod; the empty set for an interface without a pod.
    pub policies: PolicySet,
    /// Whether denied packets are dropped while the mode is enforce.
    pub enforced: bool,
    /// Whether the pod's addresses are known, so that source addresses can be judged.
    pub check_source: bool,
}

/// One address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DesiredAddress {
    /// Internal identity.
    pub identity: u32,
    /// The number of the local endpoint it belongs to; 0 where it is none's.
    pub endpoint: u32,
    /// Whether it is an address of this node's own interfaces.
    pub node: bool,
}
