//! What was decided about a packet, and where it was seen.

use std::fmt;

/// Direction of a packet as its local endpoint sees it. Numbers are Hubble's `TrafficDirection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the endpoint.
    Ingress = 1,
    /// From the endpoint.
    Egress = 2,
}

impl Direction {
    /// Both directions, ingress first.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The other direction.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What happened to the packet. Numbers are Hubble's `Verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It went on.
    Forwarded = 1,
    /// It was dropped.
    Dropped = 2,
    /// Policy would have denied it, and it went on (audit mode).
    Audit = 4,
}

impl Verdict {
    /// Hubble's name, e.g. `FORWARDED`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "FORWARDED",
            Self::Dropped => "DROPPED",
            Self::Audit => "AUDIT",
        }
    }
}

/// What kind of event the kernel told. Numbers are Hubble's monitor event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A packet was dropped; the sub-type is the drop reason.
    Drop = 1,
    /// A packet was seen at an observation point; the sub-type is the point.
    Trace = 4,
    /// A policy decided a new connection.
    PolicyVerdict = 5,
}

/// Where a packet was seen. Numbers are the sub-types of Hubble's trace events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObservationPoint {
    /// Delivered to a local pod.
    ToEndpoint = 0,
    /// Left a local pod for somewhere that is not a local pod.
    ToStack = 3,
    /// Left a local pod.
    FromEndpoint = 5,
}

impl ObservationPoint {
    /// Hubble's name, e.g. `to-endpoint`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToEndpoint => "to-endpoint",
            Self::ToStack => "to-stack",
            Self::FromEndpoint => "from-endpoint",
        }
    }
}

/// What connection tracking knew about the packet. Numbers are Hubble's `TraceReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Unknown orientation: the connection began before it was watched.
    Unknown = 0,
    /// The first packet of a connection.
    New = 1,
    /// A later packet in the direction of the first.
    Established = 2,
    /// A packet against the direction of the first.
    Reply = 3,
    /// An ICMP error about a known connection.
    Related = 4,
}

/// How specific the key was that decided. Numbers are Hubble's policy match types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchType {
    /// Nothing matched: isolation without an allowing rule.
    None = 0,
    /// The peer, on any port of any protocol.
    L3Only = 1,
    /// The peer and the port.
    L3L4 = 2,
    /// The port, from any peer.
    L4Only = 3,
    /// Everything is allowed.
    All = 4,
    /// The peer and the protocol, on any port.
    L3Proto = 5,
    /// The protocol, from any peer on any port.
    ProtoOnly = 6,
}

impl MatchType {
    /// Hubble's name, e.g. `L3-L4`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::L3Only => "L3-Only",
            Self::L3L4 => "L3-L4",
            Self::L4Only => "L4-Only",
            Self::All => "all",
            Self::L3Proto => "L3-Proto",
            Self::ProtoOnly => "Proto-Only",
        }
    }
}

/// A number that no variant of the named enumeration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{number} is not a {what}")]
pub struct UnknownNumber {
    /// What was being read, e.g. `match type`.
    pub what: &'static str,
    /// The number that was found.
    pub number: u8,
}

macro_rules! from_number {
    ($type:ident, $what:literal, [$($variant:ident),+ $(,)?]) => {
        impl TryFrom<u8> for $type {
            type Error = UnknownNumber;

            fn try_from(number: u8) -> Result<Self, UnknownNumber> {
                $(if number == $type::$variant as u8 { return Ok($type::$variant); })+
                Err(UnknownNumber { what: $what, number })
            }
        }
    };
}

from_number!(Direction, "traffic direction", [Ingress, Egress]);
from_number!(Verdict, "verdict", [Forwarded, Dropped, Audit]);
from_number!(EventKind, "event kind", [Drop, Trace, PolicyVerdict]);
from_number!(ObservationPoint, "observation point", [ToEndpoint, ToStack, FromEndpoint]);
from_number!(ConnectionState, "connection state", [Unknown, New, Established, Reply, Related]);
from_number!(MatchType, "match type", [None, L3Only, L3L4, L4Only, All, L3Proto, ProtoOnly]);
