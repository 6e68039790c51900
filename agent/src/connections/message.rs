//! Connections as messages.

use palomar_bpf::MapError;
use palomar_bpf::abi::{CONNECTION_AUDITED, CONNECTION_DENIED, CONNECTION_UNORIENTED, Connection, Direction};
use palomar_model::attribution::PolicyRef;
use palomar_model::verdict::{self, Verdict};
use palomar_proto::flow::Policy;
use palomar_proto::palomar::v1;

use super::names::{Names, Whose};
use super::query::Sources;
use super::state::State;
use super::tracked::{Arrival, Entry, Sides, Tracked, TrackedEnd};
use crate::enrich::{Attribution, Decision};

impl From<State> for v1::ConnectionState {
    fn from(state: State) -> Self {
        match state {
            State::SynUnanswered => Self::SynUnanswered,
            State::Opening => Self::Opening,
            State::Established => Self::Established,
            State::HalfClosed => Self::HalfClosed,
            State::Closed => Self::Closed,
            State::Refused => Self::Refused,
            State::Reset => Self::Reset,
            State::Unreplied => Self::Unreplied,
            State::Active => Self::Active,
        }
    }
}

impl From<Arrival> for v1::Arrival {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Unknown => Self::Unspecified,
            Arrival::Arrived => Self::Arrived,
            Arrival::Missing => Self::Missing,
            Arrival::Denied => Self::Denied,
        }
    }
}

/// The message of a connection at a moment of the kernel's clock.
pub(super) fn message(
    tracked: &Tracked,
    now_ns: u64,
    names: &mut Names,
    sources: &Sources,
) -> Result<v1::Connection, MapError> {
    let [source, destination] = tracked.ends(names);
    let [source, destination] = [end(&source, names)?, end(&destination, names)?];
    let told_by = tracked.told_by();
    let Connection { began, last_seen, .. } = told_by.connection;
    let [sent, received] = traffic(tracked, told_by);
    let state = told_by.state();
    let side = |entry: &Entry| side(tracked, entry, names, sources);
    let (source_side, destination_side) = match &tracked.sides {
        Sides::Source(entry) => (Some(side(entry)?), None),
        Sides::Destination(entry) => (None, Some(side(entry)?)),
        Sides::Both { source, destination } => (Some(side(source)?), Some(side(destination)?)),
    };
    Ok(v1::Connection {
        source: Some(source),
        destination: Some(destination),
        is_oriented: tracked.is_oriented,
        protocol: told_by.key.protocol.into(),
        state: v1::ConnectionState::from(state).into(),
        age_ns: now_ns.saturating_sub(began),
        idle_ns: now_ns.saturating_sub(last_seen),
        unanswered_syns: if state == State::SynUnanswered { sent.packets } else { 0 },
        sent: Some(sent),
        received: Some(received),
        source_side,
        destination_side,
        arrival: v1::Arrival::from(tracked.arrival).into(),
    })
}

fn end(end: &TrackedEnd, names: &mut Names) -> Result<v1::ConnectionEnd, MapError> {
    let number = names.number(end.whose)?;
    let endpoint = names.endpoint(number);
    let pod = endpoint.pod.as_ref();
    let service = names.service(end.address);
    Ok(v1::ConnectionEnd {
        address: end.address.to_string(),
        port: end.port.into(),
        namespace: pod.map(|pod| pod.namespace.clone()).unwrap_or_default(),
        pod_name: pod.map(|pod| pod.name.clone()).unwrap_or_default(),
        identity: endpoint.identity.0,
        service_namespace: service.map(|service| service.namespace.clone()).unwrap_or_default(),
        service_name: service.map(|service| service.name.clone()).unwrap_or_default(),
        is_masked: end.whose == Whose::Masked,
    })
}

fn traffic(tracked: &Tracked, entry: &Entry) -> [v1::Traffic; 2] {
    let [packets_sent, packets_received] = tracked.ways(entry, |connection| connection.packets);
    let [bytes_sent, bytes_received] = tracked.ways(entry, |connection| connection.bytes);
    [
        v1::Traffic { packets: packets_sent, bytes: bytes_sent },
        v1::Traffic { packets: packets_received, bytes: bytes_received },
    ]
}

fn side(
    tracked: &Tracked,
    entry: &Entry,
    names: &Names,
    sources: &Sources,
) -> Result<v1::ConnectionSide, MapError> {
    let [sent, received] = traffic(tracked, entry);
    let flags = entry.connection.flags;
    Ok(v1::ConnectionSide {
        interface: names.interface_name(entry.key.ifindex).to_owned(),
        state: v1::ConnectionState::from(entry.state()).into(),
        sent: Some(sent),
        received: Some(received),
        is_audited: flags & CONNECTION_AUDITED != 0,
        is_denied: flags & CONNECTION_DENIED != 0,
        policies: policies(entry, sources)?,
    })
}

/// Those that allow it at this interface, or those that do not. None where it is not known which way it was judged.
fn policies(entry: &Entry, sources: &Sources) -> Result<Vec<Policy>, MapError> {
    let Entry { key, connection } = entry;
    let is_denied = connection.flags & CONNECTION_DENIED != 0;
    let is_refused = is_denied || connection.flags & CONNECTION_AUDITED != 0;
    let names_none = connection.rule_set == 0 && connection.class_rule_set == 0;
    if connection.flags & CONNECTION_UNORIENTED != 0 || (names_none && !is_refused) {
        return Ok(Vec::new());
    }
    // an entry that was closed still holds what had allowed it before
    let policy = if is_denied { sources.tables.policy(key.ifindex)? } else { connection.policy };
    let is_egress = connection.origin == Direction::Egress.number();
    let attribution = sources.attributions.attribute(&Decision {
        endpoint: key.ifindex,
        policy_set: policy.set(),
        revision: policy.revision(),
        direction: if is_egress { verdict::Direction::Egress } else { verdict::Direction::Ingress },
        verdict: match (is_denied, is_refused) {
            (true, _) => Verdict::Dropped,
            (false, true) => Verdict::Audit,
            (false, false) => Verdict::Forwarded,
        },
        rule_set: connection.rule_set,
        class_rule_set: connection.class_rule_set,
    });
    let Attribution::Policies(policies) = attribution else { return Ok(Vec::new()) };
    let named = policies.iter().map(|PolicyRef { name, kind }| Policy {
        name: name.name.clone(),
        namespace: name.namespace.clone(),
        labels: Vec::new(),
        revision: policy.revision().into(),
        kind: (*kind).to_owned(),
    });
    Ok(named.collect())
}
