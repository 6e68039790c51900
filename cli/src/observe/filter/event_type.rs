//! Event types with their sub-types: `trace:to-endpoint`, `drop:133`, `42:7`.

use palomar_proto::flow::EventTypeFilter;

use crate::arguments::value::parse_decimal;
use crate::render::OBSERVATION_POINTS;

const TYPES: [(&str, i32); 8] = [
    ("drop", 1),
    ("debug", 2),
    ("capture", 3),
    ("trace", TRACE),
    ("policy-verdict", 5),
    ("trace-sock", 7),
    ("l7", 129),
    ("agent", AGENT),
];
const TRACE: i32 = 4;
const AGENT: i32 = 130;

/// Sub-types of agent events, by number.
const AGENT_EVENTS: [&str; 13] = [
    "unspecified",
    "message",
    "agent-started",
    "endpoint-regenerate-success",
    "endpoint-regenerate-failure",
    "policy-updated",
    "policy-deleted",
    "endpoint-created",
    "endpoint-deleted",
    "ipcache-upserted",
    "ipcache-deleted",
    "service-upserted",
    "service-deleted",
];

/// A type by name or number; after a colon the sub-type by number or, where it has one, by name.
pub fn parse(text: &str) -> Result<EventTypeFilter, String> {
    let (name, sub) = match text.split_once(':') {
        Some((name, sub)) => (name, Some(sub)),
        None => (text, None),
    };
    let known = TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let r#type = match known {
        Some(number) => number,
        None => number(name).map_err(|reason| {
            format!(
                "unable to parse type '{name}', not a known type name and unable to parse as numeric value: {reason}"
            )
        })?,
    };
    let sub_type = sub.map(|sub| sub_type(known, sub)).transpose()?;
    Ok(EventTypeFilter { r#type, match_sub_type: sub_type.is_some(), sub_type: sub_type.unwrap_or(0) })
}

fn sub_type(event: Option<i32>, text: &str) -> Result<i32, String> {
    let names: &[&str] = match event {
        Some(TRACE) => &OBSERVATION_POINTS,
        Some(AGENT) => &AGENT_EVENTS,
        _ => &[],
    };
    if let Some(at) = names.iter().position(|name| *name == text) {
        return Ok(i32::try_from(at).expect("invariant: the lists are short"));
    }
    number(text).map_err(|reason| {
        format!(
            "unable to parse event sub-type '{text}', not a known sub-type name and unable to parse as numeric value: {reason}"
        )
    })
}

/// Go takes 32 bits without a sign, and puts them into a field with one.
fn number(text: &str) -> Result<i32, String> {
    let number = parse_decimal(text)?;
    let number = u32::try_from(number).map_err(|_| {
        format!("strconv.ParseUint: parsing {}: value out of range", palomar_flow::go::quote::Quoted(text))
    })?;
    Ok(number.cast_signed())
}
