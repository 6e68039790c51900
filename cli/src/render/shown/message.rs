//! Out of Hubble's message.

use std::borrow::Cow;

use palomar_flow::view::Side;
use palomar_proto::flow::layer4::Protocol;
use palomar_proto::flow::{Flow, Policy, TrafficDirection, layer7};

use super::{End, Layer7, Names, Record, Shown};

impl<'a> From<&'a Flow> for Shown<'a> {
    fn from(flow: &'a Flow) -> Self {
        let (allowed_by, denied_by) = policies(flow);
        Self {
            is_reply: flow.is_reply,
            ends: Side::BOTH.map(|side| end(flow, side)),
            verdict: flow.verdict,
            event: flow.event_type.map_or((0, 0), |event| (event.r#type, event.sub_type)),
            layer7: flow.l7.as_ref().map(|l7| Layer7 {
                kind: l7.r#type,
                record: match &l7.record {
                    Some(layer7::Record::Dns(dns)) => Record::Dns(Cow::Borrowed(&dns.observation_source)),
                    Some(layer7::Record::Http(_)) => Record::Http,
                    Some(layer7::Record::Kafka(_)) => Record::Kafka,
                    None => Record::Other,
                },
            }),
            direction: flow.traffic_direction,
            match_type: flow.policy_match_type,
            capture_point: flow.debug_capture_point,
            translation_point: flow.sock_xlate_point,
            auth: flow.auth_type,
            ip_trace_id: flow.ip_trace_id.as_ref().map_or(0, |id| id.trace_id),
            summary: Cow::Borrowed(&flow.summary),
            allowed_by,
            denied_by,
        }
    }
}

fn policies(flow: &Flow) -> (&[Policy], &[Policy]) {
    match TrafficDirection::try_from(flow.traffic_direction) {
        Ok(TrafficDirection::Ingress) => (&flow.ingress_allowed_by, &flow.ingress_denied_by),
        Ok(TrafficDirection::Egress) => (&flow.egress_allowed_by, &flow.egress_denied_by),
        _ => (&[], &[]),
    }
}

fn end(flow: &Flow, side: Side) -> End<'_> {
    let endpoint = side.of(&flow.source, &flow.destination).as_ref();
    let service = side.of(&flow.source_service, &flow.destination_service).as_ref();
    let ethernet = flow.ethernet.as_ref().map(|ends| side.of(&*ends.source, &*ends.destination));
    // a service message sets the namespace even where it has none, and for the pod as well
    let namespace = match (service, endpoint) {
        (Some(service), _) => service.namespace.as_str(),
        (None, Some(endpoint)) => endpoint.namespace.as_str(),
        (None, None) => "",
    };
    End {
        identity: endpoint.map_or(0, |endpoint| endpoint.identity),
        address: flow.ip.as_ref().map(|ip| Cow::Borrowed(side.of(&*ip.source, &*ip.destination))),
        ethernet: ethernet.map(Cow::Borrowed),
        port: port(flow, side),
        pod: Cow::Borrowed(endpoint.map_or("", |endpoint| endpoint.pod_name.as_str())),
        namespace: Cow::Borrowed(namespace),
        service: Cow::Borrowed(service.map_or("", |service| service.name.as_str())),
        names: Names::List(side.of(&flow.source_names, &flow.destination_names)),
        known: None,
    }
}

/// The port of a protocol that has ports; else zero, as where it is not known.
fn port(flow: &Flow, side: Side) -> u32 {
    match flow.l4.as_ref().and_then(|l4| l4.protocol.as_ref()) {
        Some(Protocol::Tcp(tcp)) => side.of(tcp.source_port, tcp.destination_port),
        Some(Protocol::Udp(udp)) => side.of(udp.source_port, udp.destination_port),
        Some(Protocol::Sctp(sctp)) => side.of(sctp.source_port, sctp.destination_port),
        _ => 0,
    }
}
