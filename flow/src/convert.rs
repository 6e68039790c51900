//! Typed flows to Hubble's messages, and messages to the typed flows that come nearest.

mod node;
mod policies;
mod transport;
mod typed;

use std::net::IpAddr;

use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::verdict::{Direction, EventKind, ObservationPoint};
use palomar_proto::flow as proto;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use prost_types::Timestamp;

pub use node::NodeContext;
pub use typed::{Typed, nanoseconds};

use self::policies::PolicyLists;
use crate::summary;
use crate::uuid::format_uuid;

/// The message for a flow that this node saw.
pub fn to_proto(flow: &Flow, node: &NodeContext) -> proto::Flow {
    let drop_reason = drop_reason(flow);
    let PolicyLists { egress_allowed_by, ingress_allowed_by, egress_denied_by, ingress_denied_by } =
        PolicyLists::of(flow);
    let is_reply = flow.is_reply();
    proto::Flow {
        time: Some(timestamp(flow.time_ns)),
        uuid: format_uuid(flow.uuid),
        emitter: node.emitter().cloned(),
        verdict: flow.verdict as i32,
        drop_reason: drop_reason.into(),
        ip: Some(proto::Ip {
            source: flow.source_address.to_string(),
            destination: flow.destination_address.to_string(),
            ip_version: ip_version(flow.source_address).into(),
            ..proto::Ip::default()
        }),
        l4: transport::to_proto(flow.transport),
        source: Some(endpoint_to_proto(&flow.source)),
        destination: Some(endpoint_to_proto(&flow.destination)),
        r#type: proto::FlowType::L3L4.into(),
        node_name: node.name().to_owned(),
        node_labels: node.labels().to_vec(),
        reply: is_reply == Some(true),
        event_type: Some({
            let (r#type, sub_type) = event_type(flow.event);
            proto::CiliumEventType { r#type, sub_type }
        }),
        source_service: flow.source_service.as_ref().map(service_to_proto),
        destination_service: flow.destination_service.as_ref().map(service_to_proto),
        traffic_direction: traffic_direction(flow).into(),
        policy_match_type: match flow.event {
            Event::PolicyVerdict(match_type) => match_type as u32,
            Event::Trace(_) | Event::Drop(_) => 0,
        },
        trace_observation_point: observation_point(flow.event).into(),
        trace_reason: match flow.event {
            Event::Trace(_) => flow.state as i32,
            Event::Drop(_) | Event::PolicyVerdict(_) => 0,
        },
        drop_reason_desc: drop_reason.into(),
        is_reply,
        interface: interface(flow)
            .map(|(index, name)| proto::NetworkInterface { index, name: name.to_owned() }),
        summary: summary::of_flow(flow),
        egress_allowed_by,
        ingress_allowed_by,
        egress_denied_by,
        ingress_denied_by,
        ..proto::Flow::default()
    }
}

/// The response that carries a flow: node and time are copied from the flow as it is, masked or not.
pub fn to_response(flow: proto::Flow) -> GetFlowsResponse {
    GetFlowsResponse {
        node_name: flow.node_name.clone(),
        time: flow.time,
        response_types: Some(ResponseTypes::Flow(flow)),
    }
}

/// The message for one end of a flow.
pub fn endpoint_to_proto(endpoint: &FlowEndpoint) -> proto::Endpoint {
    let FlowEndpoint { id, identity, labels, pod, workload, cluster } = endpoint;
    let (namespace, pod_name) = match pod {
        Some(ObjectName { namespace, name }) => (namespace.clone(), name.clone()),
        None => (String::new(), String::new()),
    };
    let workloads = workload
        .iter()
        .map(|Workload { name, kind }| proto::Workload { name: name.clone(), kind: kind.clone() });
    proto::Endpoint {
        id: *id,
        identity: identity.0,
        cluster_name: cluster.as_ref().to_owned(),
        namespace,
        labels: labels.to_strings(),
        pod_name,
        workloads: workloads.collect(),
    }
}

/// A time in nanoseconds since the Unix epoch as a message.
pub fn timestamp(time_ns: i64) -> Timestamp {
    const SECOND_NS: i64 = 1_000_000_000;
    let nanos = i32::try_from(time_ns.rem_euclid(SECOND_NS)).unwrap_or_default();
    Timestamp { seconds: time_ns.div_euclid(SECOND_NS), nanos }
}

fn service_to_proto(service: &ObjectName) -> proto::Service {
    let ObjectName { namespace, name } = service.clone();
    proto::Service { name, namespace }
}

/// The version of the IP header.
pub(crate) fn ip_version(address: IpAddr) -> proto::IpVersion {
    match address {
        IpAddr::V4(_) => proto::IpVersion::IPv4,
        IpAddr::V6(_) => proto::IpVersion::IPv6,
    }
}

/// Hubble's event type and sub-type.
pub(crate) fn event_type(event: Event) -> (i32, i32) {
    let sub_type = match event {
        Event::Trace(point) => point as i32,
        Event::Drop(reason) => reason.0.into(),
        Event::PolicyVerdict(_) => 0,
    };
    let kind: EventKind = event.kind();
    (kind as i32, sub_type)
}

/// The reason of a drop event and of a verdict that dropped; 0 elsewhere.
pub(crate) fn drop_reason(flow: &Flow) -> u8 {
    flow.event.drop_reason(flow.verdict).map_or(0, |reason| reason.0)
}

/// The direction that Hubble tells: see [`Event::traffic_direction`].
pub(crate) fn traffic_direction(flow: &Flow) -> proto::TrafficDirection {
    let local = match flow.direction {
        Direction::Ingress => &flow.destination,
        Direction::Egress => &flow.source,
    };
    match flow.event.traffic_direction(flow.state, flow.direction, local.id != 0) {
        None => proto::TrafficDirection::Unknown,
        Some(Direction::Ingress) => proto::TrafficDirection::Ingress,
        Some(Direction::Egress) => proto::TrafficDirection::Egress,
    }
}

/// The interface, where it is known.
pub(crate) fn interface(flow: &Flow) -> Option<(u32, &str)> {
    let (index, name) = &flow.interface;
    (*index != 0).then_some((*index, name.as_ref()))
}

fn observation_point(event: Event) -> proto::TraceObservationPoint {
    match event {
        Event::Trace(ObservationPoint::ToEndpoint) => proto::TraceObservationPoint::ToEndpoint,
        Event::Trace(ObservationPoint::ToStack) => proto::TraceObservationPoint::ToStack,
        Event::Trace(ObservationPoint::FromEndpoint) => proto::TraceObservationPoint::FromEndpoint,
        Event::Drop(_) | Event::PolicyVerdict(_) => proto::TraceObservationPoint::UnknownPoint,
    }
}
