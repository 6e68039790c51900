//! One flow: what a user reads as one line.

use std::net::IpAddr;
use std::sync::Arc;

use crate::attribution::PolicyRef;
use crate::drop_reason::DropReason;
use crate::identity::Identity;
use crate::labels::LabelSet;
use crate::object::{ObjectName, Workload};
use crate::packet::Transport;
use crate::verdict::{ConnectionState, Direction, EventKind, MatchType, ObservationPoint, Verdict};

/// One end of a flow, as it was when the flow happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowEndpoint {
    /// The local endpoint's number on its node; 0 where the end is not a local pod.
    pub id: u32,
    /// Its identity.
    pub identity: Identity,
    /// The identity's labels, sorted.
    pub labels: LabelSet,
    /// Namespace and name of the pod; `None` where the end is no pod of the world.
    pub pod: Option<ObjectName>,
    /// What owns the pod; `None` for a bare pod and for an end that is no pod.
    pub workload: Option<Workload>,
    /// The name of the cluster the end belongs to; empty for an end outside.
    pub cluster: Arc<str>,
}

/// What an event said beyond the packet: each kind has its own facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The packet was seen passing this point.
    Trace(ObservationPoint),
    /// The packet was dropped.
    Drop(DropReason),
    /// A policy decided the connection.
    PolicyVerdict(MatchType),
}

impl Event {
    /// The kind of the event.
    pub const fn kind(self) -> EventKind {
        match self {
            Self::Trace(_) => EventKind::Trace,
            Self::Drop(_) => EventKind::Drop,
            Self::PolicyVerdict(_) => EventKind::PolicyVerdict,
        }
    }

    /// Hubble's three-valued `is_reply`: `None` for drops and for connections whose orientation is not known.
    pub const fn is_reply(self, verdict: Verdict, state: ConnectionState) -> Option<bool> {
        match (self, state) {
            (Self::Drop(_), _) | (Self::Trace(_), ConnectionState::Unknown) => None,
            (Self::PolicyVerdict(_), _) if matches!(verdict, Verdict::Dropped) => None,
            (Self::PolicyVerdict(_), _) => Some(false),
            (Self::Trace(_), state) => Some(matches!(state, ConnectionState::Reply)),
        }
    }

    /// Why the packet was dropped: of a drop event, and of a verdict that dropped; `None` elsewhere.
    pub const fn drop_reason(self, verdict: Verdict) -> Option<DropReason> {
        match self {
            Self::Drop(reason) => Some(reason),
            Self::PolicyVerdict(_) if matches!(verdict, Verdict::Dropped) => Some(DropReason::POLICY_DENIED),
            Self::PolicyVerdict(_) | Self::Trace(_) => None,
        }
    }

    /// The direction that Hubble tells of a packet that its local end saw in `direction`: that of the connection for
    /// a trace, where it is known, and that of the packet for a drop and a verdict. `None` for a drop or a trace
    /// that was seen at no local endpoint.
    pub const fn traffic_direction(
        self,
        state: ConnectionState,
        direction: Direction,
        at_endpoint: bool,
    ) -> Option<Direction> {
        match (self, state) {
            (Self::Trace(_), ConnectionState::Unknown) => None,
            (Self::Drop(_) | Self::Trace(_), _) if !at_endpoint => None,
            (Self::Trace(_), ConnectionState::Reply) => Some(direction.opposite()),
            (Self::Drop(_) | Self::Trace(_) | Self::PolicyVerdict(_), _) => Some(direction),
        }
    }
}

/// One flow, typed. Everything that text and protobuf show is derived from this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// A number unique on this node; printed as a version-4 UUID.
    pub uuid: u128,
    /// What was seen.
    pub event: Event,
    /// What happened to the packet.
    pub verdict: Verdict,
    /// What connection tracking knew.
    pub state: ConnectionState,
    /// The packet's direction at the local endpoint.
    pub direction: Direction,
    /// The packet's source address.
    pub source_address: IpAddr,
    /// The packet's destination address.
    pub destination_address: IpAddr,
    /// The packet's transport header.
    pub transport: Transport,
    /// The end that sent the packet.
    pub source: Arc<FlowEndpoint>,
    /// The end that the packet is for.
    pub destination: Arc<FlowEndpoint>,
    /// The service that the source address belongs to, if it is one's cluster address.
    pub source_service: Option<ObjectName>,
    /// The service that the destination address belongs to, if it is one's cluster address.
    pub destination_service: Option<ObjectName>,
    /// The interface the packet was seen on: index and name. The name is empty if it was gone by then.
    pub interface: (u32, Arc<str>),
    /// The policies that allowed the packet (verdict forwarded) or that isolate the pod (verdict dropped or
    /// audit). Empty where no policy had a say, or where it is not known.
    pub policies: Arc<[PolicyRef]>,
    /// The revision of the policy that was in force at the endpoint; 0 where none was.
    pub policy_revision: u32,
}

impl Flow {
    /// Hubble's three-valued `is_reply`: see [`Event::is_reply`].
    pub const fn is_reply(&self) -> Option<bool> {
        self.event.is_reply(self.verdict, self.state)
    }
}
