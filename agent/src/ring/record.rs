//! One flow as the ring keeps it.

use std::net::IpAddr;

use palomar_model::flow::Event;
use palomar_model::packet::Transport;
use palomar_model::verdict::{ConnectionState, Direction, Verdict};

use super::id::{EndpointId, InterfaceId, PoliciesId, RestId, ServiceId};

/// A flow, with what repeats as numbers: see [`palomar_model::flow::Flow`] for the fields' meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The packet's source address.
    pub source_address: IpAddr,
    /// The packet's destination address.
    pub destination_address: IpAddr,
    /// The end that sent the packet.
    pub source: EndpointId,
    /// The end that the packet is for.
    pub destination: EndpointId,
    /// The service that the source address belongs to.
    pub source_service: Option<ServiceId>,
    /// The service that the destination address belongs to.
    pub destination_service: Option<ServiceId>,
    /// The interface the packet was seen on.
    pub interface: InterfaceId,
    /// The policies that decided; `None` where none had a say or it is not known.
    pub policies: Option<PoliciesId>,
    /// The revision of the policy that was in force; 0 where none was.
    pub policy_revision: u32,
    /// The packet's transport header.
    pub transport: Transport,
    /// What was seen.
    pub event: Event,
    /// What happened to the packet.
    pub verdict: Verdict,
    /// What connection tracking knew.
    pub state: ConnectionState,
    /// The packet's direction at the local endpoint.
    pub direction: Direction,
    /// What the flow's message says beyond all this; `None` for flows of this agent's own, but for drops by
    /// others in the kernel.
    pub rest: Option<RestId>,
}

const _: () = assert!(size_of::<Record>() <= 128, "a record takes at most 128 bytes");
