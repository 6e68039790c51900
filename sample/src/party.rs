//! The two ends of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::object::ObjectName;

use crate::cluster::{Outside, Pod, Service};

/// Which of a pair of addresses a connection uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// One end.
#[derive(Debug, Clone)]
pub struct Party {
    pub endpoint: Arc<FlowEndpoint>,
    pub address: IpAddr,
    pub port: u16,
    /// Index and name of the interface, where the end is a local pod.
    pub interface: Option<(u32, Arc<str>)>,
    /// The service, where the address is a service's.
    pub service: Option<ObjectName>,
    /// Who judges what the end sends and gets, where it is an isolated local pod.
    pub judges: Option<Judges>,
}

/// The policies of an isolated pod.
#[derive(Debug, Clone)]
pub struct Judges {
    pub allowing: Arc<[PolicyRef]>,
    pub isolating: Arc<[PolicyRef]>,
}

// === impl Family ===

impl Family {
    fn of(self, addresses: [IpAddr; 2]) -> IpAddr {
        match self {
            Self::V4 => addresses[0],
            Self::V6 => addresses[1],
        }
    }
}

// === impl Party ===

impl Party {
    pub fn pod(pod: &Pod, family: Family, port: u16) -> Self {
        let judges = (pod.isolated && pod.is_local())
            .then(|| Judges { allowing: Arc::clone(&pod.allowing), isolating: Arc::clone(&pod.isolating) });
        Self {
            endpoint: Arc::clone(&pod.endpoint),
            address: family.of(pod.addresses),
            port,
            interface: pod.interface.clone(),
            service: None,
            judges,
        }
    }

    /// An address of the service; `world` is what the kernel takes it for.
    pub fn service(service: &Service, world: &Outside, family: Family) -> Self {
        let address = family.of(service.addresses);
        Self { address, service: Some(service.name.clone()), ..Self::outside(world, family, service.port) }
    }

    /// The first address of what is outside, or of the host.
    pub fn outside(outside: &Outside, family: Family, port: u16) -> Self {
        Self {
            endpoint: Arc::clone(&outside.endpoint),
            address: family.of(outside.addresses),
            port,
            interface: None,
            service: None,
            judges: None,
        }
    }

    /// Another address, so far behind.
    pub fn behind(mut self, offset: u32) -> Self {
        self.address = match self.address {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits().wrapping_add(offset)).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().wrapping_add(offset.into())).into(),
        };
        self
    }

    pub const fn is_local(&self) -> bool {
        self.interface.is_some()
    }
}
