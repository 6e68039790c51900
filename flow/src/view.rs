//! A borrowed view of a flow: what filters read, whatever a flow is stored as.
//!
//! Numbers are those of Hubble's enums and texts are those that Hubble's messages would hold, so that a filter
//! says the same about a stored record and about the message made from it.

mod absent;
mod label;
mod line;
mod model;
mod part;
mod proto;

use std::borrow::Cow;
use std::net::IpAddr;

pub use absent::NoFlow;
pub use label::LabelParts;
pub use line::{LineFlow, LinePaths};
pub use model::TypedFlow;
use palomar_model::packet;
use palomar_proto::flow::{Flow, Layer7};
pub(crate) use part::address_key;
pub use part::{Part, header_key, port_key};
pub(crate) use proto::flag_bits;

/// One of the two ends of a flow, as its packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

impl Side {
    /// Both sides, source first.
    pub const BOTH: [Self; 2] = [Self::Source, Self::Destination];

    /// `source` or `destination`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    /// The one of two values that belongs to this side.
    pub fn of<T>(self, source: T, destination: T) -> T {
        match self {
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}

/// An IP address as a view has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// As text; empty where the flow has none.
    Text(&'a str),
    /// As a number; its text is the standard one.
    Ip(IpAddr),
}

impl Address<'_> {
    /// No address.
    pub const NONE: Self = Self::Text("");
}

/// A flow's UUID as a view has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uuid<'a> {
    /// As text; empty where the flow has none.
    Text(&'a str),
    /// As a number; its text is the hyphenated form in lower case.
    Number(u128),
}

/// A set of TCP flags: bit 0 FIN, then SYN, RST, PSH, ACK, URG, ECE, CWR and, at bit 8, NS.
pub type TcpFlagBits = u16;

/// The transport part of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source and destination port.
        ports: (u32, u32),
        /// The flags; `None` where the flow does not tell them.
        flags: Option<TcpFlagBits>,
    },
    /// UDP with source and destination port.
    Udp {
        /// Source and destination port.
        ports: (u32, u32),
    },
    /// SCTP.
    Sctp {
        /// Source and destination port.
        ports: (u32, u32),
    },
    /// `ICMPv4`.
    IcmpV4,
    /// `ICMPv6`.
    IcmpV6,
    /// VRRP.
    Vrrp,
    /// IGMP.
    Igmp,
}

impl Transport {
    /// The port of one side; `None` for protocols without ports.
    pub fn port(self, side: Side) -> Option<u32> {
        match self {
            Self::Tcp { ports, .. } | Self::Udp { ports } | Self::Sctp { ports } => {
                Some(side.of(ports.0, ports.1))
            }
            Self::IcmpV4 | Self::IcmpV6 | Self::Vrrp | Self::Igmp => None,
        }
    }

    /// The view of a parsed transport header; `None` for a protocol that Hubble's messages have no place for.
    pub fn of_packet(transport: packet::Transport) -> Option<Self> {
        let ports = |source: u16, destination: u16| (u32::from(source), u32::from(destination));
        match transport {
            packet::Transport::Tcp { source, destination, flags } => {
                Some(Self::Tcp { ports: ports(source, destination), flags: Some(flags.0.into()) })
            }
            packet::Transport::Udp { source, destination } => {
                Some(Self::Udp { ports: ports(source, destination) })
            }
            packet::Transport::Sctp { source, destination } => {
                Some(Self::Sctp { ports: ports(source, destination) })
            }
            packet::Transport::Icmp { .. } => Some(Self::IcmpV4),
            packet::Transport::Icmpv6 { .. } => Some(Self::IcmpV6),
            packet::Transport::Other(_) => None,
        }
    }
}

/// One end of a flow. Everything here must depend on the endpoint alone: it may be asked only once.
pub trait EndpointView {
    /// The security identity; 0 where it is not known.
    fn identity(&self) -> u32;
    /// The pod's namespace; empty where the end is no pod.
    fn namespace(&self) -> &str;
    /// The pod's name; empty where the end is no pod.
    fn pod_name(&self) -> &str;
    /// The cluster; empty where it is not known.
    fn cluster_name(&self) -> &str;
    /// The labels in the order of the message.
    fn labels(&self) -> impl Iterator<Item = LabelParts<'_>>;
    /// Name and kind of each workload.
    fn workloads(&self) -> impl Iterator<Item = (&str, &str)>;
}

/// A flow. What a kind of record never has, keeps its default: absent.
pub trait FlowView {
    /// An end of the flow.
    type Endpoint: EndpointView;

    /// Whether there is a flow at all; false for a response that carries something else.
    fn is_flow(&self) -> bool {
        true
    }
    /// The whole message, for filters that may ask for any of its fields; `None` where there is no flow, or no message
    /// is made of it.
    fn message(&self) -> Option<Cow<'_, Flow>>;
    /// An end; `None` where the message would have no endpoint.
    fn endpoint(&self, side: Side) -> Option<&Self::Endpoint>;
    /// A number that stands for the value of a part: the same number for the same value only, for as long as a
    /// [`Memo`](crate::filter::Memo) is kept, and below the greatest; best dense. `None` where there is no such
    /// number. It is not asked for addresses.
    fn key(&self, part: Part) -> Option<u64> {
        let _ = part;
        None
    }
    /// Namespace and name of the service that an address belongs to.
    fn service(&self, side: Side) -> Option<(&str, &str)>;
    /// The address in the packet.
    fn address(&self, side: Side) -> Address<'_>;
    /// The source address after translation.
    fn source_translated(&self) -> Address<'_> {
        Address::NONE
    }
    /// Hubble's `IPVersion`; 0 where there is no IP header.
    fn ip_version(&self) -> i32;
    /// Whether the packet was encrypted.
    fn encrypted(&self) -> bool {
        false
    }
    /// The transport header.
    fn transport(&self) -> Option<Transport>;
    /// The application record.
    fn layer7(&self) -> Option<&Layer7> {
        None
    }
    /// The DNS names known for an address.
    fn names(&self, side: Side) -> impl Iterator<Item = &str> {
        let _ = side;
        std::iter::empty()
    }
    /// The flow's UUID.
    fn uuid(&self) -> Uuid<'_>;
    /// Type and sub-type of the event.
    fn event_type(&self) -> Option<(i32, i32)>;
    /// Hubble's `Verdict`.
    fn verdict(&self) -> i32;
    /// Hubble's `DropReason`; 0 where nothing was dropped.
    fn drop_reason(&self) -> i32;
    /// Whether the packet goes against its connection; `None` where that is not known.
    fn is_reply(&self) -> Option<bool>;
    /// Hubble's `TrafficDirection`.
    fn traffic_direction(&self) -> i32;
    /// Index and name of the interface.
    fn interface(&self) -> Option<(u32, &str)>;
    /// The node, as `cluster/node` or `node`.
    fn node_name(&self) -> &str;
    /// The node's labels, as `key=value`.
    fn node_labels(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
    /// The trace id of the application; empty where there is none.
    fn trace_id(&self) -> &str {
        Default::default()
    }
    /// The trace id of the IP options; 0 where there is none.
    fn ip_trace_id(&self) -> u64 {
        0
    }
}
