//! One field of a filter: what it asks, and of which part of a flow.

use super::cel::Expressions;
use super::direction::Directions;
use super::drop_reason::DropReasons;
use super::encrypted::Encrypted;
use super::endpoint::EndTest;
use super::event_type::EventTypes;
use super::fqdn::{DnsQueries, Names};
use super::http::HttpTest;
use super::interface::Interfaces;
use super::ip::Addresses;
use super::ip_version::IpVersions;
use super::labels::NodeLabels;
use super::node_name::NodeNames;
use super::port::Ports;
use super::protocol::Protocols;
use super::reply::Replies;
use super::service::Services;
use super::tcp_flags::FlagSets;
use super::trace_id::{IpTraceIds, TraceIds};
use super::uuid::Uuids;
use super::verdict::Verdicts;
use crate::view::{FlowView, Part};

macro_rules! tests {
    ($($name:ident($type:ty): $part:expr),+ $(,)?) => {
        /// One field of a filter.
        #[derive(Debug)]
        pub(super) enum Test {
            $($name($type),)+
        }

        impl Test {
            pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
                match self {
                    $(Self::$name(test) => test.matches(flow),)+
                }
            }

            /// The part of a flow that decides.
            pub(super) fn part(&self) -> Part {
                match self {
                    $(Self::$name(test) => {
                        let part: fn(&$type) -> Part = $part;
                        part(test)
                    })+
                }
            }
        }
    };
}

impl Test {
    /// Whether it takes much longer than others may.
    pub(super) const fn takes_long(&self) -> bool {
        matches!(self, Self::Cel(_))
    }
}

tests!(
    End(EndTest): EndTest::part,
    Service(Services): Services::part,
    Address(Addresses): Addresses::part,
    Port(Ports): Ports::part,
    NodeName(NodeNames): |_| Part::Node,
    NodeLabels(NodeLabels): |_| Part::Node,
    Interface(Interfaces): |_| Part::Interface,
    EventType(EventTypes): |_| Part::Event,
    Verdict(Verdicts): |_| Part::Event,
    DropReason(DropReasons): |_| Part::Event,
    Reply(Replies): |_| Part::Event,
    Direction(Directions): |_| Part::Event,
    Protocol(Protocols): Protocols::part,
    TcpFlags(FlagSets): |_| Part::Header,
    IpVersion(IpVersions): |_| Part::Header,
    Encrypted(Encrypted): |_| Part::Header,
    Cel(Expressions): |_| Part::Other,
    Uuid(Uuids): |_| Part::Other,
    Name(Names): |_| Part::Other,
    DnsQuery(DnsQueries): |_| Part::Other,
    Http(HttpTest): |_| Part::Other,
    TraceId(TraceIds): |_| Part::Other,
    IpTraceId(IpTraceIds): |_| Part::Other,
);
