//! A record as filters see it.

use std::borrow::Cow;

use palomar_flow::convert::{NodeContext, to_proto};
use palomar_flow::sighting::Sighting;
use palomar_flow::view::{Address, FlowView, Part, Side, Transport, Uuid, header_key, port_key};
use palomar_model::flow::FlowEndpoint;
use palomar_model::verdict::Direction;
use palomar_proto::flow as proto;

use crate::ring::{FlowUuids, Names, Record};

/// A record with all that is needed to read it. As a view it says the same as that of the flow made from it, without what
/// the record keeps beyond that.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    pub record: &'a Record,
    pub names: &'a Names,
    pub node: &'a NodeContext,
    pub uuids: &'a FlowUuids,
    pub sequence: u64,
}

// === impl RecordView ===

impl RecordView<'_> {
    /// The message, where it says something else than the record, of what filters read.
    pub fn whole_message(&self) -> Option<proto::Flow> {
        let rest = self.record.rest.map(|id| self.names.rest(id)).filter(|rest| rest.is_filtered())?;
        Some(rest.with(&self.names.flow(self.record, self.uuids.of(self.sequence)), self.node))
    }

    /// What the event says.
    pub fn sighting(&self) -> Sighting {
        let Record { event, verdict, state, direction, source, destination, .. } = *self.record;
        let local = match direction {
            Direction::Ingress => destination,
            Direction::Egress => source,
        };
        Sighting { event, verdict, state, direction, at_endpoint: self.names.endpoint(local).id != 0 }
    }
}

impl FlowView for RecordView<'_> {
    type Endpoint = FlowEndpoint;

    /// With what the record keeps beyond its own fields.
    fn message(&self) -> Option<Cow<'_, proto::Flow>> {
        let flow = self.names.flow(self.record, self.uuids.of(self.sequence));
        Some(Cow::Owned(match self.record.rest {
            Some(rest) => self.names.rest(rest).with(&flow, self.node),
            None => to_proto(&flow, self.node),
        }))
    }

    fn endpoint(&self, side: Side) -> Option<&FlowEndpoint> {
        Some(self.names.endpoint(side.of(self.record.source, self.record.destination)))
    }

    #[inline]
    fn key(&self, part: Part) -> Option<u64> {
        let Record { source, destination, source_service, destination_service, transport, .. } = *self.record;
        let dense = |index: usize| Some(index as u64);
        match part {
            Part::End(side) => dense(side.of(source, destination).index()),
            Part::Service(side) => {
                dense(side.of(source_service, destination_service).map_or(0, |service| service.index() + 1))
            }
            Part::Port(side) => Some(port_key(transport, side)),
            // all flows are those of one node
            Part::Node => Some(0),
            Part::Interface => dense(self.record.interface.index()),
            Part::Event => Some(self.sighting().number().into()),
            Part::Header => Some(header_key(transport, self.record.source_address.is_ipv4())),
            Part::Address(_) | Part::Other => None,
        }
    }

    fn service(&self, side: Side) -> Option<(&str, &str)> {
        let service = side.of(self.record.source_service, self.record.destination_service)?;
        let service = self.names.service(service);
        Some((&service.namespace, &service.name))
    }

    fn address(&self, side: Side) -> Address<'_> {
        Address::Ip(side.of(self.record.source_address, self.record.destination_address))
    }

    fn ip_version(&self) -> i32 {
        let version = if self.record.source_address.is_ipv4() {
            proto::IpVersion::IPv4
        } else {
            proto::IpVersion::IPv6
        };
        version.into()
    }

    fn transport(&self) -> Option<Transport> {
        Transport::of_packet(self.record.transport)
    }

    fn uuid(&self) -> Uuid<'_> {
        Uuid::Number(self.uuids.of(self.sequence))
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        Some(self.sighting().event_type())
    }

    fn verdict(&self) -> i32 {
        self.record.verdict as i32
    }

    fn drop_reason(&self) -> i32 {
        self.sighting().drop_reason().into()
    }

    fn is_reply(&self) -> Option<bool> {
        self.sighting().is_reply()
    }

    fn traffic_direction(&self) -> i32 {
        self.sighting().traffic_direction() as i32
    }

    fn interface(&self) -> Option<(u32, &str)> {
        let interface = self.names.interface(self.record.interface);
        (interface.index != 0).then_some((interface.index, &interface.name))
    }

    fn node_name(&self) -> &str {
        self.node.name()
    }

    fn node_labels(&self) -> impl Iterator<Item = &str> {
        self.node.labels().iter().map(String::as_str)
    }
}
