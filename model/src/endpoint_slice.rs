//! Endpoint slices: who stands behind a service, as its controller tells it.

use std::net::IpAddr;

use crate::object::ObjectName;
use crate::packet::Protocol;

/// A part of those who stand behind a service (`discovery.k8s.io/v1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace and name.
    pub name: ObjectName,
    /// The service of its namespace that it belongs to (its label `kubernetes.io/service-name`); empty: none's.
    pub service: String,
    /// What its endpoints are.
    pub address_type: AddressType,
    /// The ports that each of its endpoints has.
    pub ports: Vec<SlicePort>,
    /// Its endpoints; empty where they are names, which lead to nobody here.
    pub endpoints: Vec<Endpoint>,
}

/// What the endpoints of a slice are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// DNS names: for whoever reads them, no node leads anyone there.
    Fqdn,
}

/// A port of the endpoints of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the service's port that it stands behind; empty: of the one without a name.
    pub name: String,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// Never 0; `None`: any port. No address of a service leads there.
    pub number: Option<u16>,
}

/// An endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The first of its addresses: no meaning is given to others, and nodes take no notice of them.
    pub address: IpAddr,
    /// Whether it answers.
    pub state: EndpointState,
    /// The node it is on; empty: on none, so that nobody finds it on their own.
    pub node: String,
}

/// Whether an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It is ready.
    Ready,
    /// It ends, and answers until then: it is taken only where no other endpoint is ready.
    Ending,
    /// It is not to be taken.
    Unready,
}
