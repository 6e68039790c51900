//! What kind of event a flow tells of.

use palomar_model::drop_reason::DropReason;
use palomar_proto::flow::layer7::Record;
use palomar_proto::flow::{
    DebugCapturePoint, Flow, L7FlowType, Layer7, SocketTranslationPoint, TrafficDirection,
};

use super::escape::escape;

/// Numbers of `event_type.type`.
pub const DROP: i32 = 1;
const CAPTURE: i32 = 3;
const TRACE: i32 = 4;
/// A policy decision on a new connection.
pub const POLICY_VERDICT: i32 = 5;
const TRACE_SOCK: i32 = 7;

/// Names of trace observation points, by sub-type.
pub const OBSERVATION_POINTS: [&str; 14] = [
    "to-endpoint",
    "to-proxy",
    "to-host",
    "to-stack",
    "to-overlay",
    "from-endpoint",
    "from-proxy",
    "from-host",
    "from-stack",
    "from-overlay",
    "from-network",
    "to-network",
    "from-crypto",
    "to-crypto",
];

/// `event_type.type`; zero without an event type.
pub fn number(flow: &Flow) -> i32 {
    flow.event_type.as_ref().map_or(0, |event| event.r#type)
}

/// The TYPE of a line: `to-endpoint`, `Policy denied`, `policy-verdict:L3-L4 INGRESS`, `dns-request proxy`, …
pub fn name(flow: &Flow) -> String {
    if let Some(l7) = &flow.l7 {
        return layer7(l7);
    }
    let sub_type = flow.event_type.as_ref().map_or(0, |event| event.sub_type);
    match number(flow) {
        TRACE => observation_point(sub_type),
        DROP => drop_text(sub_type),
        POLICY_VERDICT => {
            let direction = enum_name(flow.traffic_direction, TrafficDirection::as_str_name);
            format!("policy-verdict:{} {direction}", match_type(flow.policy_match_type))
        }
        CAPTURE => enum_name(flow.debug_capture_point, DebugCapturePoint::as_str_name),
        TRACE_SOCK => socket_translation(flow.sock_xlate_point),
        _ => "UNKNOWN".to_owned(),
    }
}

/// The name of an enum value; the number for one that the enum does not have.
pub fn enum_name<E: TryFrom<i32>>(number: i32, name: impl Fn(&E) -> &'static str) -> String {
    E::try_from(number).map_or_else(|_| number.to_string(), |value| name(&value).to_owned())
}

fn layer7(l7: &Layer7) -> String {
    let kind = enum_name(l7.r#type, L7FlowType::as_str_name).to_lowercase();
    match &l7.record {
        Some(Record::Dns(dns)) => format!("dns-{kind} {}", escape(&dns.observation_source)),
        Some(Record::Http(_)) => format!("http-{kind}"),
        Some(Record::Kafka(_)) => format!("kafka-{kind}"),
        None => format!("l7-{kind}"),
    }
}

fn observation_point(sub_type: i32) -> String {
    let name = usize::try_from(sub_type).ok().and_then(|at| OBSERVATION_POINTS.get(at));
    name.map_or_else(|| sub_type.to_string(), |name| (*name).to_owned())
}

/// A code that Hubble does not know prints with the extended code, which no flow carries.
fn drop_text(sub_type: i32) -> String {
    let text = u8::try_from(sub_type).ok().and_then(|code| DropReason(code).text());
    text.map_or_else(|| format!("{sub_type}, 0"), str::to_owned)
}

fn match_type(number: u32) -> &'static str {
    match number {
        0 => "none",
        1 => "L3-Only",
        2 => "L3-L4",
        3 => "L4-Only",
        4 => "all",
        5 => "L3-Proto",
        6 => "Proto-Only",
        _ => "unknown",
    }
}

fn socket_translation(number: i32) -> String {
    let name = match SocketTranslationPoint::try_from(number) {
        Ok(SocketTranslationPoint::SockXlatePointPreDirectionFwd) => "pre-xlate-fwd",
        Ok(SocketTranslationPoint::SockXlatePointPostDirectionFwd) => "post-xlate-fwd",
        Ok(SocketTranslationPoint::SockXlatePointPreDirectionRev) => "pre-xlate-rev",
        Ok(SocketTranslationPoint::SockXlatePointPostDirectionRev) => "post-xlate-rev",
        _ => return enum_name(number, SocketTranslationPoint::as_str_name),
    };
    name.to_owned()
}
