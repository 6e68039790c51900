//! A connection as flow filters see it.

use std::borrow::Cow;

use palomar_flow::view::{Address, FlowView, Part, Side, Transport, Uuid};
use palomar_model::flow::FlowEndpoint;
use palomar_model::packet::Protocol;
use palomar_proto::flow::{Flow, IpVersion};

use super::names::Names;
use super::tracked::TrackedEnd;

/// A connection, one way round. What only an event has is absent.
#[derive(Clone, Copy)]
pub(super) struct ConnectionView<'a> {
    pub(super) names: &'a Names,
    pub(super) protocol: u8,
    /// Source and destination, each with the number of its name.
    pub(super) ends: [(TrackedEnd, u32); 2],
}

// === impl ConnectionView ===

impl ConnectionView<'_> {
    /// The same with its ends exchanged.
    pub(super) fn turned(self) -> Self {
        let [source, destination] = self.ends;
        Self { ends: [destination, source], ..self }
    }

    fn end(&self, side: Side) -> &TrackedEnd {
        let [source, destination] = &self.ends;
        &side.of(source, destination).0
    }

    fn number(&self, side: Side) -> u32 {
        let [source, destination] = &self.ends;
        side.of(source, destination).1
    }
}

impl FlowView for ConnectionView<'_> {
    type Endpoint = FlowEndpoint;

    /// Filters that would need it are refused for connections.
    fn message(&self) -> Option<Cow<'_, Flow>> {
        None
    }

    fn endpoint(&self, side: Side) -> Option<&FlowEndpoint> {
        Some(self.names.endpoint(self.number(side)))
    }

    fn key(&self, part: Part) -> Option<u64> {
        match part {
            Part::End(side) => Some(self.number(side).into()),
            _ => None,
        }
    }

    fn service(&self, side: Side) -> Option<(&str, &str)> {
        let service = self.names.service(self.end(side).address)?;
        Some((&service.namespace, &service.name))
    }

    fn address(&self, side: Side) -> Address<'_> {
        Address::Ip(self.end(side).address)
    }

    fn ip_version(&self) -> i32 {
        let version =
            if self.end(Side::Source).address.is_ipv4() { IpVersion::IPv4 } else { IpVersion::IPv6 };
        version.into()
    }

    fn transport(&self) -> Option<Transport> {
        let ports = (self.end(Side::Source).port.into(), self.end(Side::Destination).port.into());
        match Protocol::from_number(self.protocol) {
            Protocol::Tcp => Some(Transport::Tcp { ports, flags: None }),
            Protocol::Udp => Some(Transport::Udp { ports }),
            Protocol::Sctp => Some(Transport::Sctp { ports }),
            Protocol::Icmp => Some(Transport::IcmpV4),
            Protocol::Icmpv6 => Some(Transport::IcmpV6),
            Protocol::Other(_) => None,
        }
    }

    fn uuid(&self) -> Uuid<'_> {
        Uuid::Text("")
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        None
    }

    fn verdict(&self) -> i32 {
        0
    }

    fn drop_reason(&self) -> i32 {
        0
    }

    fn is_reply(&self) -> Option<bool> {
        None
    }

    fn traffic_direction(&self) -> i32 {
        0
    }

    fn interface(&self) -> Option<(u32, &str)> {
        None
    }

    fn node_name(&self) -> &'static str {
        ""
    }
}
