//! Connections as a table.

use std::io::{self, Write};

use palomar_proto::palomar::v1::{
    Arrival, Connection, ConnectionEnd, ConnectionSide, ConnectionState, Traffic,
};

use super::units::{exact_time, rounded_bytes, rounded_time};
use super::words::{protocol_name, state_name};
use crate::render::escape::escape;
use crate::render::{Columns, Naming, identity_name};

/// What the table looks like.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// Names or addresses.
    pub naming: Naming,
    /// Whether the policies that decided are named.
    pub policy_names: bool,
    /// Whether bytes and times are told exactly.
    pub exact: bool,
}

/// Prints a line for each connection, below the names of the columns.
pub fn print(connections: &[Connection], looks: Looks, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut columns = Columns::default();
    columns.line(&["FROM", "TO", "PROTOCOL", "STATE", "AGE", "IDLE", "SENT", "RECEIVED", "NOTES"]);
    let time = if looks.exact { exact_time } else { rounded_time };
    for connection in connections {
        columns.line(&[
            &end(connection.source.as_ref(), looks.naming),
            &end(connection.destination.as_ref(), looks.naming),
            &protocol_name(connection.protocol),
            &state(connection),
            &time(connection.age_ns),
            &time(connection.idle_ns),
            &traffic(connection.sent.as_ref(), looks),
            &traffic(connection.received.as_ref(), looks),
            &notes(connection, looks),
        ]);
    }
    columns.write(out)
}

/// `shop/web:80 (ID:60437)`; of a service's address `shop/web:80 (service)`.
fn end(end: Option<&ConnectionEnd>, naming: Naming) -> String {
    let Some(end) = end else { return "-".to_owned() };
    let is_named = naming == Naming::Names;
    let (name, what) = if is_named && !end.pod_name.is_empty() {
        (format!("{}/{}", end.namespace, end.pod_name), identity_name(end.identity))
    } else if is_named && !end.service_name.is_empty() {
        (format!("{}/{}", end.service_namespace, end.service_name), "service".to_owned())
    } else {
        (end.address.clone(), identity_name(end.identity))
    };
    let name = escape(&name);
    match end.port {
        0 => format!("{name} ({what})"),
        port if name.contains(':') => format!("[{name}]:{port} ({what})"),
        port => format!("{name}:{port} ({what})"),
    }
}

fn state(connection: &Connection) -> String {
    let name = state_name(connection.state);
    match connection.unanswered_syns {
        0 => name.to_owned(),
        1 => format!("{name} (1 SYN)"),
        syns => format!("{name} ({syns} SYNs)"),
    }
}

/// `12 (1.5 KiB)`: packets and bytes.
fn traffic(traffic: Option<&Traffic>, looks: Looks) -> String {
    let Traffic { packets, bytes } = traffic.copied().unwrap_or_default();
    if looks.exact {
        format!("{packets} ({bytes} B)")
    } else {
        format!("{packets} ({})", rounded_bytes(bytes))
    }
}

/// What is unusual, and who decided; `-` where there is nothing to say.
fn notes(connection: &Connection, looks: Looks) -> String {
    let mut notes: Vec<String> = Vec::new();
    if !connection.is_oriented {
        notes.push("direction unknown".to_owned());
    }
    if [&connection.source, &connection.destination].into_iter().flatten().any(|end| end.is_masked) {
        notes.push("real source hidden".to_owned());
    }
    match connection.arrival() {
        Arrival::Missing => notes.push("did not arrive".to_owned()),
        Arrival::Denied => notes.push("denied at destination".to_owned()),
        Arrival::Arrived if is_answer_lost(connection) => notes.push("answer did not arrive".to_owned()),
        Arrival::Arrived | Arrival::Unspecified => {}
    }
    let sides = [("egress", &connection.source_side), ("ingress", &connection.destination_side)];
    for (direction, side) in sides {
        let direction = connection.is_oriented.then_some(direction);
        notes.extend(side.as_ref().and_then(|side| judgement(side, direction, looks)));
    }
    if notes.is_empty() { "-".to_owned() } else { notes.join(", ") }
}

/// What policy says at one side; `None` where it says nothing, or allows and is not asked who.
fn judgement(side: &ConnectionSide, direction: Option<&str>, looks: Looks) -> Option<String> {
    let verdict = match (side.is_denied, side.is_audited) {
        (true, _) => "denied",
        (false, true) => "audited",
        (false, false) if looks.policy_names && !side.policies.is_empty() => "allowed",
        (false, false) => return None,
    };
    let direction = direction.map(|direction| format!(" {direction}")).unwrap_or_default();
    let names: Vec<_> = side.policies.iter().map(|policy| escape(&policy.name)).collect();
    let by = if looks.policy_names && !names.is_empty() {
        format!(" by {}", names.join(" "))
    } else {
        String::new()
    };
    Some(format!("{verdict}{direction}{by}"))
}

/// The destination has answered, and the source does not know.
fn is_answer_lost(connection: &Connection) -> bool {
    let unanswered = [ConnectionState::SynUnanswered, ConnectionState::Unreplied];
    let there = connection.destination_side.as_ref().and_then(|side| side.received).unwrap_or_default();
    unanswered.contains(&connection.state()) && there.packets > 0
}
