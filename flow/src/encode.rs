//! Responses as bytes, spliced from parts: nothing is built that a client does not get.
//!
//! A message is the parts of its encoding in any order. What all flows of a node have in common, and the ends of
//! flows, are encoded and masked once and copied from then on; so is what follows from the event alone and the
//! summary. Time, addresses, ports and the rest are written from the numbers. What comes out decodes to the
//! message that [`convert`](crate::convert) and [`mask`](crate::mask) make, and is as long as its encoding.

mod address;
mod cache;
mod packet;
mod parts;
mod seen;
mod wire;

use std::net::IpAddr;

use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::object::ObjectName;
use palomar_model::packet::Transport;
use palomar_proto::flow as proto;
use palomar_proto::observer::GetFlowsResponse;
use prost::Message;

use self::packet::PacketParts;
use self::seen::SeenParts;
use self::wire::with_length;
use crate::convert::{self, NodeContext};
use crate::mask::{FieldMask, PartMask};
use crate::rest::{Rest, Stands};
use crate::sighting::Sighting;
use crate::view::Side;

/// A flow with its ends encoded already, borrowed from wherever it is kept.
#[derive(Debug, Clone, Copy)]
pub struct FlowParts<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// A number unique on this node.
    pub uuid: u128,
    /// What the event says.
    pub sighting: Sighting,
    /// The packet's source address.
    pub source_address: IpAddr,
    /// The packet's destination address.
    pub destination_address: IpAddr,
    /// The packet's transport header.
    pub transport: Transport,
    /// The end that sent the packet, as [`FlowEncoder::end`] gives it.
    pub source: &'a [u8],
    /// The end that the packet is for; likewise.
    pub destination: &'a [u8],
    /// The service that the source address belongs to.
    pub source_service: Option<&'a ObjectName>,
    /// The service that the destination address belongs to.
    pub destination_service: Option<&'a ObjectName>,
    /// Index and name of the interface; index 0 where it is not known.
    pub interface: (u32, &'a str),
    /// The policies that decided; may be empty.
    pub policies: &'a [PolicyRef],
    /// The revision of the policy that was in force; 0 where none was.
    pub policy_revision: u32,
    /// What the message says beyond all this.
    pub rest: Option<&'a Rest>,
}

/// Writes responses for the flows of one node under one mask. Beside the mask it holds a few kilobytes, whatever it
/// writes.
#[derive(Debug)]
pub struct FlowEncoder {
    masks: Masks,
    /// What every flow has.
    node: Box<[u8]>,
    /// `node_name` of the response; empty where the mask leaves it out.
    response_node: Box<[u8]>,
    keeps_node_name: bool,
    seen: SeenParts,
    packets: PacketParts,
    /// `time` of the flow at hand, which the response has as well.
    time: Vec<u8>,
    /// For a part that is masked after it is written.
    unmasked: Vec<u8>,
}

/// What the mask keeps of each part.
#[derive(Debug)]
struct Masks {
    time: PartMask,
    uuid: PartMask,
    addresses: PartMask,
    transport: PartMask,
    source: PartMask,
    destination: PartMask,
    source_service: PartMask,
    destination_service: PartMask,
    interface: PartMask,
    policies: PartMask,
    rest: PartMask,
}

// === impl FlowEncoder ===

impl FlowEncoder {
    /// An encoder for the flows of a node.
    pub fn new(mask: &FieldMask, node: &NodeContext) -> Self {
        let part = |fields: &[u32]| mask.part(|field| fields.contains(&field));
        let common = proto::Flow {
            emitter: node.emitter().cloned(),
            r#type: proto::FlowType::L3L4.into(),
            node_name: node.name().to_owned(),
            node_labels: node.labels().to_vec(),
            ..proto::Flow::default()
        };
        let mut node_part = Vec::new();
        mask.part(|field| !parts::is_of_one_flow(field)).copy(&common.encode_to_vec(), &mut node_part);
        let keeps_node_name = part(&[parts::NODE_NAME]) != PartMask::Nothing;
        let response = GetFlowsResponse {
            node_name: if keeps_node_name { node.name().to_owned() } else { String::new() },
            ..GetFlowsResponse::default()
        };
        Self {
            masks: Masks {
                time: part(&[parts::TIME]),
                uuid: part(&[parts::UUID]),
                addresses: part(&[parts::ADDRESSES]),
                transport: part(&[packet::TRANSPORT]),
                source: part(&[parts::SOURCE]),
                destination: part(&[parts::DESTINATION]),
                source_service: part(&[parts::SOURCE_SERVICE]),
                destination_service: part(&[parts::DESTINATION_SERVICE]),
                interface: part(&[parts::INTERFACE]),
                policies: part(&parts::POLICIES),
                rest: mask.part(|_| true),
            },
            node: node_part.into(),
            response_node: response.encode_to_vec().into(),
            keeps_node_name,
            seen: SeenParts::new(part(&seen::FIELDS)),
            packets: PacketParts::new(part(&[packet::SUMMARY])),
            time: Vec::new(),
            unmasked: Vec::new(),
        }
    }

    /// One end of flows, encoded as their source or as their destination: see [`FlowParts`].
    pub fn end(&self, side: Side, endpoint: &FlowEndpoint) -> Box<[u8]> {
        let message = Some(convert::endpoint_to_proto(endpoint));
        let (flow, mask) = match side {
            Side::Source => (proto::Flow { source: message, ..proto::Flow::default() }, &self.masks.source),
            Side::Destination => {
                (proto::Flow { destination: message, ..proto::Flow::default() }, &self.masks.destination)
            }
        };
        let mut end = Vec::new();
        mask.copy(&flow.encode_to_vec(), &mut end);
        end.into()
    }

    /// Appends the response that carries a flow.
    pub fn response(&mut self, flow: &FlowParts<'_>, out: &mut Vec<u8>) {
        let Self { masks, time, unmasked, .. } = self;
        time.clear();
        masks.time.write(unmasked, time, |out| parts::time(flow.time_ns, out));
        with_length::<2>(&parts::RESPONSE_FLOW, out, |out| self.flow(flow, out));
        match flow.rest.and_then(Rest::node_name) {
            None => out.extend_from_slice(&self.response_node),
            Some(name) if self.keeps_node_name => parts::response_node_name(name, out),
            Some(_) => {}
        }
        // without its key the value is the same
        if let [_, value @ ..] = &self.time[..] {
            out.extend_from_slice(&parts::RESPONSE_TIME);
            out.extend_from_slice(value);
        }
    }

    fn flow(&mut self, flow: &FlowParts<'_>, out: &mut Vec<u8>) {
        let Self { masks, time, unmasked, .. } = self;
        out.extend_from_slice(time);
        masks.uuid.write(unmasked, out, |out| parts::uuid(flow.uuid, out));
        if flow.rest.is_none_or(|rest| rest.stands() == Stands::Beside) {
            self.typed(flow, out);
        }
        if let Some(rest) = flow.rest {
            self.masks.rest.copy(rest.fields(), out);
        }
    }

    /// All but time and UUID of what a typed flow says.
    fn typed(&mut self, flow: &FlowParts<'_>, out: &mut Vec<u8>) {
        let Self { masks, node, seen, packets, unmasked, .. } = self;
        out.extend_from_slice(seen.part(flow.sighting));
        masks.addresses.write(unmasked, out, |out| {
            parts::addresses(flow.source_address, flow.destination_address, out);
        });
        masks.transport.write(unmasked, out, |out| packet::transport(flow.transport, out));
        out.extend_from_slice(flow.source);
        out.extend_from_slice(flow.destination);
        out.extend_from_slice(node);
        masks.source_service.write(unmasked, out, |out| {
            flow.source_service.into_iter().for_each(|name| parts::source_service(name, out));
        });
        masks.destination_service.write(unmasked, out, |out| {
            flow.destination_service.into_iter().for_each(|name| parts::destination_service(name, out));
        });
        masks.interface.write(unmasked, out, |out| parts::interface(flow.interface, out));
        out.extend_from_slice(packets.summary(flow.transport, flow.source_address, flow.sighting.event));
        if let Some(list) = flow.sighting.policy_list() {
            masks.policies.write(unmasked, out, |out| {
                parts::policies(list, flow.policies, flow.policy_revision, out);
            });
        }
    }
}
