//! Typed flows to Hubble's messages, and messages to the typed flows that come nearest.

mod node;
mod policies;
mod transport;
mod typed;

use std::net::IpAddr;

use palomar_model::flow::{Flow, FlowEndpoint};
use palomar_model::object::{ObjectName, Workload};
use palomar_proto::flow as proto;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use prost_types::Timestamp;

pub use node::NodeContext;
pub use typed::{Typed, nanoseconds};

use self::policies::PolicyLists;
use crate::sighting::Sighting;
use crate::summary;
use crate::uuid::format_uuid;

/// The message for a flow that this node saw.
pub fn to_proto(flow: &Flow, node: &NodeContext) -> proto::Flow {
    let PolicyLists { egress_allowed_by, ingress_allowed_by, egress_denied_by, ingress_denied_by } =
        PolicyLists::of(flow);
    proto::Flow {
        time: Some(timestamp(flow.time_ns)),
        uuid: format_uuid(flow.uuid),
        emitter: node.emitter().cloned(),
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
        source_service: flow.source_service.as_ref().map(service_to_proto),
        destination_service: flow.destination_service.as_ref().map(service_to_proto),
        interface: interface(flow)
            .map(|(index, name)| proto::NetworkInterface { index, name: name.to_owned() }),
        summary: summary::of_event(flow.transport, flow.source_address, flow.event),
        egress_allowed_by,
        ingress_allowed_by,
        egress_denied_by,
        ingress_denied_by,
        ..seen_to_proto(Sighting::of(flow))
    }
}

/// Those fields of a flow that follow from the event alone; all others are absent.
pub(crate) fn seen_to_proto(sighting: Sighting) -> proto::Flow {
    let (r#type, sub_type) = sighting.event_type();
    let is_reply = sighting.is_reply();
    proto::Flow {
        verdict: sighting.verdict as i32,
        drop_reason: sighting.drop_reason().into(),
        drop_reason_desc: sighting.drop_reason().into(),
        event_type: Some(proto::CiliumEventType { r#type, sub_type }),
        reply: is_reply == Some(true),
        is_reply,
        traffic_direction: sighting.traffic_direction().into(),
        policy_match_type: sighting.policy_match_type(),
        trace_observation_point: sighting.observation_point().into(),
        trace_reason: sighting.trace_reason(),
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

/// The interface, where it is known.
pub(crate) fn interface(flow: &Flow) -> Option<(u32, &str)> {
    let (index, name) = &flow.interface;
    (*index != 0).then_some((*index, name.as_ref()))
}
