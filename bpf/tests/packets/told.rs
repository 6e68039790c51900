//! Events in a line each, for tables.

use crate::datapath::Datapath;
use palomar_bpf::abi::{Event, EventKind, Point, State, Verdict};

/// The events since the last call, as `kind detail verdict state`.
pub fn told(datapath: &mut Datapath) -> Vec<String> {
    datapath.events().iter().map(line).collect()
}

pub fn line(event: &Event) -> String {
    let kind = match EventKind::try_from(event.kind).unwrap() {
        EventKind::Drop => "drop",
        EventKind::Trace => return format!("{} {}", point(event), state(event)),
        EventKind::PolicyVerdict => "policy",
    };
    let verdict = match Verdict::try_from(event.verdict).unwrap() {
        Verdict::Forwarded => "allowed",
        Verdict::Dropped => "denied",
        Verdict::Audit => "audited",
    };
    format!("{kind} {} {verdict} {}", event.detail, state(event))
}

fn point(event: &Event) -> &'static str {
    match Point::try_from(event.detail).unwrap() {
        Point::ToEndpoint => "to-endpoint",
        Point::ToStack => "to-stack",
        Point::FromEndpoint => "from-endpoint",
    }
}

fn state(event: &Event) -> &'static str {
    match State::try_from(event.state).unwrap() {
        State::Unknown => "unknown",
        State::New => "new",
        State::Established => "established",
        State::Reply => "reply",
        State::Related => "related",
    }
}
