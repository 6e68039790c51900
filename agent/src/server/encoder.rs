//! Records to encoded responses.
//!
//! A message is the parts of its encoding in any order, so the parts that repeat (both ends; what all flows of the
//! node have in common) are encoded and masked once and copied from then on.

use std::sync::Arc;

use palomar_flow::convert::{self, NodeContext};
use palomar_flow::mask::FieldMask;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::{LabelSet, Labels};
use palomar_proto::flow as proto;
use palomar_proto::observer::GetFlowsResponse;
use prost::Message;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::view::RecordView;
use crate::ring::EndpointId;

/// Number of the field `flow` in a response.
const FLOW_FIELD: u32 = 1;

/// Encodes for one query.
#[derive(Debug)]
pub struct Encoder {
    mask: FieldMask,
    /// Which fields of the response the mask leaves, since they are copied from the masked flow.
    keeps_time: TimeParts,
    keeps_node_name: bool,
    /// Stands in for the node while the rest of a flow is made.
    bare_node: NodeContext,
    node_part: Vec<u8>,
    response_node_part: Vec<u8>,
    /// By the index of the end.
    ends: Vec<Option<EndParts>>,
    erasures: u64,
    flow: Vec<u8>,
    unmasked: Vec<u8>,
}

/// Which of a time's two numbers are kept.
#[derive(Debug, Clone, Copy)]
struct TimeParts {
    any: bool,
    seconds: bool,
    nanos: bool,
}

/// One end of flows, encoded as their source and as their destination.
#[derive(Debug)]
struct EndParts {
    /// Stands in for the end while the rest of a flow is made: what is told of a flow depends on its number.
    bare: Arc<FlowEndpoint>,
    source: Box<[u8]>,
    destination: Box<[u8]>,
}

// === impl Encoder ===

impl Encoder {
    /// An encoder for the flows of a node.
    pub fn new(mask: FieldMask, node: &NodeContext) -> Self {
        let node_flow = proto::Flow {
            emitter: node.emitter().cloned(),
            node_name: node.name().to_owned(),
            node_labels: node.labels().to_vec(),
            ..proto::Flow::default()
        };
        let probe = mask.apply(proto::Flow {
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 1 }),
            node_name: "node".into(),
            ..proto::Flow::default()
        });
        let keeps_node_name = !probe.node_name.is_empty();
        let node_name = if keeps_node_name { node.name() } else { "" };
        Self {
            keeps_time: TimeParts {
                any: probe.time.is_some(),
                seconds: probe.time.is_some_and(|time| time.seconds != 0),
                nanos: probe.time.is_some_and(|time| time.nanos != 0),
            },
            keeps_node_name,
            bare_node: NodeContext::new("", "", &Labels::new(), ""),
            node_part: masked(&mask, &node_flow),
            response_node_part: GetFlowsResponse {
                node_name: node_name.to_owned(),
                ..GetFlowsResponse::default()
            }
            .encode_to_vec(),
            ends: Vec::new(),
            erasures: 0,
            flow: Vec::new(),
            unmasked: Vec::new(),
            mask,
        }
    }

    /// Appends the encoded response that carries a flow.
    pub fn encode(&mut self, view: &RecordView<'_>, out: &mut impl BufMut) {
        self.encode_flow(view);
        encode_key(FLOW_FIELD, WireType::LengthDelimited, out);
        encode_varint(self.flow.len() as u64, out);
        out.put_slice(&self.flow);
        if self.keeps_node_name {
            out.put_slice(&self.response_node_part);
        }
        if self.keeps_time.any {
            let whole = convert::timestamp(view.record.time_ns);
            let time = prost_types::Timestamp {
                seconds: if self.keeps_time.seconds { whole.seconds } else { 0 },
                nanos: if self.keeps_time.nanos { whole.nanos } else { 0 },
            };
            let response = GetFlowsResponse { time: Some(time), ..GetFlowsResponse::default() };
            response.encode_raw(out);
        }
    }

    fn encode_flow(&mut self, view: &RecordView<'_>) {
        if self.erasures != view.names.erasures() {
            self.erasures = view.names.erasures();
            self.ends.clear();
        }
        self.flow.clear();
        let (source, destination) = (view.record.source, view.record.destination);
        let bare_source = Arc::clone(&self.end(source, view).bare);
        let bare_destination = Arc::clone(&self.end(destination, view).bare);
        let whole = view.names.flow(view.record, view.uuids.of(view.sequence));
        let bare = palomar_model::flow::Flow { source: bare_source, destination: bare_destination, ..whole };
        let mut rest = convert::to_proto(&bare, &self.bare_node);
        (rest.source, rest.destination, rest.emitter) = (None, None, None);
        if self.mask.is_everything() {
            rest.encode_raw(&mut self.flow);
        } else {
            self.unmasked.clear();
            rest.encode_raw(&mut self.unmasked);
            self.mask.apply_encoded(&self.unmasked, &mut self.flow);
        }
        let Self { flow, ends, node_part, .. } = self;
        flow.extend_from_slice(node_part);
        let part = |id: EndpointId| ends[id.index()].as_ref();
        flow.extend_from_slice(part(source).map_or(&[], |end| &end.source));
        flow.extend_from_slice(part(destination).map_or(&[], |end| &end.destination));
    }

    fn end(&mut self, id: EndpointId, view: &RecordView<'_>) -> &EndParts {
        let index = id.index();
        if self.ends.len() <= index {
            self.ends.resize_with(index + 1, || None);
        }
        let mask = &self.mask;
        self.ends[index].get_or_insert_with(|| EndParts::new(view.names.endpoint(id), mask))
    }
}

// === impl EndParts ===

impl EndParts {
    fn new(endpoint: &FlowEndpoint, mask: &FieldMask) -> Self {
        let message = convert::endpoint_to_proto(endpoint);
        let source = proto::Flow { source: Some(message.clone()), ..proto::Flow::default() };
        let destination = proto::Flow { destination: Some(message), ..proto::Flow::default() };
        Self {
            bare: Arc::new(FlowEndpoint {
                id: endpoint.id,
                identity: Identity::UNKNOWN,
                labels: LabelSet::new(Vec::new()),
                pod: None,
                workload: None,
                cluster: Arc::from(""),
            }),
            source: masked(mask, &source).into(),
            destination: masked(mask, &destination).into(),
        }
    }
}

/// A part of a flow under the mask. The mask adds empty messages around nested fields that are not in the part:
/// merged with the other parts they change nothing.
fn masked(mask: &FieldMask, part: &proto::Flow) -> Vec<u8> {
    let mut out = Vec::new();
    mask.apply_encoded(&part.encode_to_vec(), &mut out);
    out
}
