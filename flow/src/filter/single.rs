//! The tests that need the flow itself.

use super::direction::Directions;
use super::drop_reason::DropReasons;
use super::encrypted::Encrypted;
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
use crate::view::FlowView;

macro_rules! flow_tests {
    ($($name:ident($type:ty)),+ $(,)?) => {
        /// One field of a filter about the flow.
        #[derive(Debug)]
        pub(super) enum FlowTest {
            $($name($type),)+
        }

        impl FlowTest {
            pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
                match self {
                    $(Self::$name(test) => test.matches(flow),)+
                }
            }
        }
    };
}

flow_tests!(
    Uuid(Uuids),
    EventType(EventTypes),
    Verdict(Verdicts),
    DropReason(DropReasons),
    Reply(Replies),
    Encrypted(Encrypted),
    Protocol(Protocols),
    Address(Addresses),
    Service(Services),
    Name(Names),
    DnsQuery(DnsQueries),
    NodeLabels(NodeLabels),
    Port(Ports),
    Http(HttpTest),
    TcpFlags(FlagSets),
    NodeName(NodeNames),
    IpVersion(IpVersions),
    TraceId(TraceIds),
    Direction(Directions),
    Interface(Interfaces),
    IpTraceId(IpTraceIds),
);
