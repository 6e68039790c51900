//! Connections as JSON, one a line.

use std::io::{self, BufWriter, Write};

use palomar_proto::flow::Policy;
use palomar_proto::palomar::v1::{Connection, ConnectionEnd, ConnectionSide, Traffic};
use serde_json::{Value, json};

use super::words::{arrival_name, protocol_name, state_name};

/// Prints an object a line; every field, also those that are zero.
pub fn print(connections: &[Connection], out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    for connection in connections {
        writeln!(out, "{}", to_json(connection))?;
    }
    out.flush()
}

fn to_json(connection: &Connection) -> Value {
    let Connection {
        source,
        destination,
        is_oriented,
        protocol,
        state,
        age_ns,
        idle_ns,
        sent,
        received,
        unanswered_syns,
        source_side,
        destination_side,
        arrival,
    } = connection;
    json!({
        "source": source.as_ref().map(end),
        "destination": destination.as_ref().map(end),
        "is_oriented": is_oriented,
        "protocol": protocol_name(*protocol),
        "state": state_name(*state),
        "age_ns": age_ns,
        "idle_ns": idle_ns,
        "sent": traffic(*sent),
        "received": traffic(*received),
        "unanswered_syns": unanswered_syns,
        "source_side": source_side.as_ref().map(side),
        "destination_side": destination_side.as_ref().map(side),
        "arrival": arrival_name(*arrival),
    })
}

fn end(end: &ConnectionEnd) -> Value {
    let ConnectionEnd {
        address,
        port,
        namespace,
        pod_name,
        identity,
        service_namespace,
        service_name,
        is_masked,
    } = end;
    json!({
        "address": address,
        "port": port,
        "namespace": namespace,
        "pod_name": pod_name,
        "identity": identity,
        "service_namespace": service_namespace,
        "service_name": service_name,
        "is_masked": is_masked,
    })
}

fn traffic(traffic: Option<Traffic>) -> Value {
    let Traffic { packets, bytes } = traffic.unwrap_or_default();
    json!({ "packets": packets, "bytes": bytes })
}

fn side(side: &ConnectionSide) -> Value {
    let ConnectionSide { interface, state, sent, received, is_audited, is_denied, policies } = side;
    json!({
        "interface": interface,
        "state": state_name(*state),
        "sent": traffic(*sent),
        "received": traffic(*received),
        "is_audited": is_audited,
        "is_denied": is_denied,
        "policies": policies.iter().map(policy).collect::<Vec<_>>(),
    })
}

fn policy(policy: &Policy) -> Value {
    let Policy { name, namespace, labels: _, revision, kind } = policy;
    json!({ "name": name, "namespace": namespace, "kind": kind, "revision": revision })
}
