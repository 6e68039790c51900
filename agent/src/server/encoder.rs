//! Records to encoded responses, for one query.

use std::sync::Arc;

use palomar_flow::convert::NodeContext;
use palomar_flow::encode::{FlowEncoder, FlowParts};
use palomar_flow::mask::FieldMask;
use palomar_flow::sighting::Sighting;
use palomar_model::verdict::Direction;

use super::ends::{EndTable, NearEnds};
use super::view::RecordView;
use crate::ring::Record;

/// Encodes for one query.
#[derive(Debug)]
pub struct Encoder {
    flow: FlowEncoder,
    table: Arc<EndTable>,
    sources: NearEnds,
    destinations: NearEnds,
}

// === impl Encoder ===

impl Encoder {
    /// An encoder for the flows of a node; the table is that of the mask.
    pub fn new(mask: &FieldMask, node: &NodeContext, table: Arc<EndTable>) -> Self {
        Self {
            flow: FlowEncoder::new(mask, node),
            table,
            sources: NearEnds::default(),
            destinations: NearEnds::default(),
        }
    }

    /// Appends the encoded response that carries a flow.
    pub fn encode(&mut self, view: &RecordView<'_>, out: &mut Vec<u8>) {
        let Self { flow, table, sources, destinations } = self;
        let RecordView { names, record, .. } = *view;
        let Record {
            time_ns,
            source_address,
            destination_address,
            source,
            destination,
            source_service,
            destination_service,
            interface,
            policies,
            policy_revision,
            transport,
            event,
            verdict,
            state,
            direction,
            rest,
        } = *record;
        let source = sources.get(source, names, table, flow);
        let destination = destinations.get(destination, names, table, flow);
        let local = match direction {
            Direction::Ingress => destination,
            Direction::Egress => source,
        };
        let interface = names.interface(interface);
        let parts = FlowParts {
            time_ns,
            uuid: view.uuids.of(view.sequence),
            sighting: Sighting { event, verdict, state, direction, at_endpoint: local.id != 0 },
            source_address,
            destination_address,
            transport,
            source: &source.source,
            destination: &destination.destination,
            source_service: source_service.map(|id| &**names.service(id)),
            destination_service: destination_service.map(|id| &**names.service(id)),
            interface: (interface.index, &interface.name),
            policies: policies.map_or(&[], |id| names.policies(id)),
            policy_revision,
            rest: rest.map(|id| &**names.rest(id)),
        };
        flow.response(&parts, out);
    }
}
