//! A record as filters see it.

use palomar_flow::convert::NodeContext;
use palomar_flow::filter::{Filters, Memo};
use palomar_flow::view::{Address, FlowView, Side, Transport, Uuid};
use palomar_model::flow::{Event, FlowEndpoint};
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
    /// Whether filters let the flow through. Where its message says something else than the record, of what filters
    /// read, the message is asked.
    pub fn matches(&self, filters: &Filters, memo: &mut Memo) -> bool {
        let rest = self.record.rest.map(|id| self.names.rest(id)).filter(|rest| rest.is_filtered());
        let Some(rest) = rest else { return filters.matches_with(self, memo) };
        let flow = self.names.flow(self.record, self.uuids.of(self.sequence));
        filters.matches(&rest.with(&flow, self.node))
    }
}

impl FlowView for RecordView<'_> {
    type Endpoint = FlowEndpoint;

    fn endpoint(&self, side: Side) -> Option<&FlowEndpoint> {
        Some(self.names.endpoint(side.of(self.record.source, self.record.destination)))
    }

    fn endpoint_key(&self, side: Side) -> Option<u32> {
        u32::try_from(side.of(self.record.source, self.record.destination).index()).ok()
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
        let sub_type = match self.record.event {
            Event::Trace(point) => point as i32,
            Event::Drop(reason) => reason.0.into(),
            Event::PolicyVerdict(_) => 0,
        };
        Some((self.record.event.kind() as i32, sub_type))
    }

    fn verdict(&self) -> i32 {
        self.record.verdict as i32
    }

    fn drop_reason(&self) -> i32 {
        self.record.event.drop_reason(self.record.verdict).map_or(0, |reason| reason.0.into())
    }

    fn is_reply(&self) -> Option<bool> {
        self.record.event.is_reply(self.record.verdict, self.record.state)
    }

    fn traffic_direction(&self) -> i32 {
        let Record { event, direction, state, source, destination, .. } = *self.record;
        let local = match direction {
            Direction::Ingress => destination,
            Direction::Egress => source,
        };
        let at_endpoint = self.names.endpoint(local).id != 0;
        event.traffic_direction(state, direction, at_endpoint).map_or(0, |direction| direction as i32)
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
