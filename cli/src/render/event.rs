//! What kind of event a flow tells of.

use palomar_model::drop_reason::DropReason;
use palomar_proto::flow::{DebugCapturePoint, L7FlowType, SocketTranslationPoint, TrafficDirection};

use super::escape::push_escaped;
use super::host::push_number;
use super::shown::{Layer7, Record, Shown};

/// Numbers of `event_type.type`.
const DROP: i32 = 1;
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

/// Appends the TYPE of a line: `to-endpoint`, `Policy denied`, `policy-verdict:L3-L4 INGRESS`, `dns-request proxy`, …
pub fn push_name(out: &mut String, flow: &Shown<'_>) {
    if let Some(layer7) = &flow.layer7 {
        return push_layer7(out, layer7);
    }
    let (kind, sub_type) = flow.event;
    // of both kinds a byte counts, as in Hubble
    let [code, ..] = sub_type.to_le_bytes();
    match kind {
        TRACE => match OBSERVATION_POINTS.get(usize::from(code)) {
            Some(name) => out.push_str(name),
            None => push_number(out, code.into()),
        },
        DROP => {
            if let Some(text) = DropReason(code).text() {
                return out.push_str(text);
            }
            // a code that Hubble does not know prints with the extended code, which no flow carries
            push_number(out, code.into());
            out.push_str(", 0");
        }
        POLICY_VERDICT => {
            out.extend(["policy-verdict:", match_type(flow.match_type), " "]);
            push_enum(out, flow.direction, TrafficDirection::as_str_name);
        }
        CAPTURE => push_enum(out, flow.capture_point, DebugCapturePoint::as_str_name),
        TRACE_SOCK => push_enum(out, flow.translation_point, translation_name),
        _ => out.push_str("UNKNOWN"),
    }
}

/// Appends the name of an enum value; the number for one that the enum does not have.
pub fn push_enum<E: TryFrom<i32>>(out: &mut String, number: i32, name: impl Fn(&E) -> &'static str) {
    match E::try_from(number) {
        Ok(value) => out.push_str(name(&value)),
        Err(_) => out.push_str(&number.to_string()),
    }
}

/// The name of an enum value; the number for one that the enum does not have.
pub fn enum_name<E: TryFrom<i32>>(number: i32, name: impl Fn(&E) -> &'static str) -> String {
    E::try_from(number).map_or_else(|_| number.to_string(), |value| name(&value).to_owned())
}

fn push_layer7(out: &mut String, layer7: &Layer7<'_>) {
    out.push_str(match layer7.record {
        Record::Dns(_) => "dns-",
        Record::Http => "http-",
        Record::Kafka => "kafka-",
        Record::Other => "l7-",
    });
    out.push_str(&enum_name(layer7.kind, L7FlowType::as_str_name).to_lowercase());
    if let Record::Dns(seen_by) = &layer7.record {
        out.push(' ');
        push_escaped(out, seen_by);
    }
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

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "push_enum takes functions like those that are generated"
)]
fn translation_name(point: &SocketTranslationPoint) -> &'static str {
    match point {
        SocketTranslationPoint::SockXlatePointPreDirectionFwd => "pre-xlate-fwd",
        SocketTranslationPoint::SockXlatePointPostDirectionFwd => "post-xlate-fwd",
        SocketTranslationPoint::SockXlatePointPreDirectionRev => "pre-xlate-rev",
        SocketTranslationPoint::SockXlatePointPostDirectionRev => "post-xlate-rev",
        unknown @ SocketTranslationPoint::SockXlatePointUnknown => unknown.as_str_name(),
    }
}
