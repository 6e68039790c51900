//! Hubble's messages as typed flows.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, EventKind, MatchType, ObservationPoint, Verdict};
use palomar_proto::flow as proto;
use palomar_proto::flow::layer4::Protocol;
use prost_types::Timestamp;

use super::policies::PolicyLists;
use super::{NodeContext, to_proto};
use crate::rest::Rest;
use crate::uuid::parse_uuid;
use crate::view::{LabelParts, flag_bits};

/// A message as the typed flow that comes nearest, and what that leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The flow. Its time is 0 where the message has none, and its UUID where the message has none of that form.
    pub flow: Flow,
    /// What it leaves out; `None` if it says everything.
    pub rest: Option<Rest>,
}

// === impl Typed ===

impl Typed {
    /// Reads a message that `node` tells.
    pub fn of(message: &proto::Flow, node: &NodeContext) -> Self {
        let flow = nearest(message);
        Self { rest: Rest::of(message, &flow, node), flow }
    }

    /// The message again, time and UUID included.
    pub fn to_proto(&self, node: &NodeContext) -> proto::Flow {
        self.rest.as_ref().map_or_else(|| to_proto(&self.flow, node), |rest| rest.with(&self.flow, node))
    }
}

/// The typed flow that says as much of a message as one can, and as little as can be beside it.
fn nearest(message: &proto::Flow) -> Flow {
    let event = event(message);
    let verdict = verdict(message, event);
    let source = end(message.source.as_ref());
    let destination = end(message.destination.as_ref());
    let state = state(message, event, verdict);
    let address = |text: fn(&proto::Ip) -> &str| {
        let text = message.ip.as_ref().map_or("", text);
        text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    };
    let flow = Flow {
        time_ns: message.time.as_ref().map_or(0, nanoseconds),
        uuid: parse_uuid(&message.uuid).unwrap_or(0),
        event,
        verdict,
        state,
        direction: direction(message, event, state, [source.id, destination.id]),
        source_address: address(|ip| &ip.source),
        destination_address: address(|ip| &ip.destination),
        transport: transport(message),
        source: Arc::new(source),
        destination: Arc::new(destination),
        source_service: message.source_service.as_ref().map(service),
        destination_service: message.destination_service.as_ref().map(service),
        interface: message.interface.as_ref().filter(|interface| interface.index != 0).map_or_else(
            || (0, Arc::from("")),
            |interface| (interface.index, interface.name.as_str().into()),
        ),
        policies: Arc::new([]),
        policy_revision: 0,
    };
    with_policies(message, flow)
}

/// A time in nanoseconds since the Unix epoch; the nearest that there is where it is beyond what 64 bits hold.
pub fn nanoseconds(time: &Timestamp) -> i64 {
    let ns = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// A trace where it is nothing that a typed flow can be.
fn event(message: &proto::Flow) -> Event {
    let (kind, sub_type) = message.event_type.as_ref().map_or((0, 0), |event| (event.r#type, event.sub_type));
    let number = |number: i32| u8::try_from(number).ok();
    match number(kind).and_then(|kind| EventKind::try_from(kind).ok()) {
        Some(EventKind::Drop) => Event::Drop(DropReason(number(sub_type).unwrap_or(0))),
        Some(EventKind::PolicyVerdict) => {
            let match_type = u8::try_from(message.policy_match_type).ok();
            let match_type = match_type.and_then(|number| MatchType::try_from(number).ok());
            Event::PolicyVerdict(match_type.unwrap_or(MatchType::None))
        }
        Some(EventKind::Trace) | None => {
            let point = number(sub_type).and_then(|number| ObservationPoint::try_from(number).ok());
            Event::Trace(point.unwrap_or(ObservationPoint::ToEndpoint))
        }
    }
}

fn verdict(message: &proto::Flow, event: Event) -> Verdict {
    let verdict = u8::try_from(message.verdict).ok().and_then(|number| Verdict::try_from(number).ok());
    verdict.unwrap_or(match event {
        Event::Drop(_) => Verdict::Dropped,
        Event::Trace(_) | Event::PolicyVerdict(_) => Verdict::Forwarded,
    })
}

/// The state of a trace, if it says whether the packet was a reply as the message does; else one that does. Of a verdict
/// and a drop, whose message does not tell it, that of a first packet.
fn state(message: &proto::Flow, event: Event, verdict: Verdict) -> ConnectionState {
    let Event::Trace(_) = event else { return ConnectionState::New };
    let state = u8::try_from(message.trace_reason).ok();
    let state = state.and_then(|number| ConnectionState::try_from(number).ok());
    let says_the_same = |state: &ConnectionState| event.is_reply(verdict, *state) == message.is_reply;
    state.filter(says_the_same).unwrap_or(match message.is_reply {
        None => ConnectionState::Unknown,
        Some(false) => ConnectionState::Established,
        Some(true) => ConnectionState::Reply,
    })
}

/// The direction in which the packet was seen, where the message tells it; else that of its observation point, or of the
/// list that its policies stand in.
fn direction(message: &proto::Flow, event: Event, state: ConnectionState, ids: [u32; 2]) -> Direction {
    let leaves = match event {
        Event::Trace(point) => point != ObservationPoint::ToEndpoint,
        Event::Drop(_) | Event::PolicyVerdict(_) => {
            !message.egress_allowed_by.is_empty() || !message.egress_denied_by.is_empty()
        }
    };
    let usual = if leaves { Direction::Egress } else { Direction::Ingress };
    let told = match message.traffic_direction() {
        proto::TrafficDirection::Unknown => None,
        proto::TrafficDirection::Ingress => Some(Direction::Ingress),
        proto::TrafficDirection::Egress => Some(Direction::Egress),
    };
    let [source_id, destination_id] = ids;
    let says = |direction: Direction| {
        let id = match direction {
            Direction::Ingress => destination_id,
            Direction::Egress => source_id,
        };
        event.traffic_direction(state, direction, id != 0)
    };
    [usual, usual.opposite()].into_iter().find(|direction| says(*direction) == told).unwrap_or(usual)
}

/// One end; nobody where the message has none.
fn end(message: Option<&proto::Endpoint>) -> FlowEndpoint {
    let nobody = proto::Endpoint::default();
    let proto::Endpoint { id, identity, cluster_name, namespace, labels, pod_name, workloads } =
        message.unwrap_or(&nobody);
    let is_pod = !namespace.is_empty() || !pod_name.is_empty();
    FlowEndpoint {
        id: *id,
        identity: Identity(*identity),
        labels: label_set(labels),
        pod: is_pod.then(|| ObjectName::new(namespace, pod_name)),
        // of many the first: the others can follow it
        workload: workloads
            .first()
            .map(|proto::Workload { name, kind }| Workload { name: name.clone(), kind: kind.clone() }),
        cluster: cluster_name.as_str().into(),
    }
}

/// The labels, if they print as they stand in the message; else none.
fn label_set(texts: &[String]) -> LabelSet {
    let labels: Option<Vec<Label>> = texts.iter().map(|text| label(text)).collect();
    let set = labels.map(LabelSet::new).filter(|set| set.to_strings() == texts);
    set.unwrap_or_else(|| LabelSet::new(Vec::new()))
}

/// A label of one of the sources that a typed label can have.
fn label(text: &str) -> Option<Label> {
    const SOURCES: [&str; 3] = ["k8s", "reserved", "cidr"];
    let LabelParts { source, key, value } = LabelParts::of_text(text);
    let source = SOURCES.into_iter().find(|known| *known == source)?;
    Some(Label { source, key: key.to_owned(), value: value.to_owned() })
}

fn service(service: &proto::Service) -> ObjectName {
    ObjectName::new(&service.namespace, &service.name)
}

/// The transport header, if a typed one says the same; else one that says nothing.
fn transport(message: &proto::Flow) -> Transport {
    const IGMP: u8 = 2;
    const VRRP: u8 = 112;
    const RESERVED: u8 = 255;
    let protocol = message.l4.as_ref().and_then(|l4| l4.protocol.as_ref());
    let typed = protocol.and_then(|protocol| match protocol {
        Protocol::Tcp(tcp) => Some(Transport::Tcp {
            source: u16::try_from(tcp.source_port).ok()?,
            destination: u16::try_from(tcp.destination_port).ok()?,
            // NS, the ninth, is not among those that are kept
            flags: TcpFlags(u8::try_from(flag_bits(tcp.flags.as_ref()?) & 0xff).ok()?),
        }),
        Protocol::Udp(udp) => Some(Transport::Udp {
            source: u16::try_from(udp.source_port).ok()?,
            destination: u16::try_from(udp.destination_port).ok()?,
        }),
        Protocol::Sctp(sctp) => Some(Transport::Sctp {
            source: u16::try_from(sctp.source_port).ok()?,
            destination: u16::try_from(sctp.destination_port).ok()?,
        }),
        Protocol::IcmPv4(icmp) => Some(Transport::Icmp {
            kind: u8::try_from(icmp.r#type).ok()?,
            code: u8::try_from(icmp.code).ok()?,
        }),
        Protocol::IcmPv6(icmp) => Some(Transport::Icmpv6 {
            kind: u8::try_from(icmp.r#type).ok()?,
            code: u8::try_from(icmp.code).ok()?,
        }),
        Protocol::Vrrp(_) | Protocol::Igmp(_) => None,
    });
    typed.unwrap_or(Transport::Other(match message.summary.split(';').next() {
        Some("IGMP") => IGMP,
        Some("VRRP") => VRRP,
        _ => RESERVED,
    }))
}

/// The flow with its policies and their revision, if the message made from it has the same lists; else with none.
fn with_policies(message: &proto::Flow, flow: Flow) -> Flow {
    let proto::Flow { egress_allowed_by, ingress_allowed_by, egress_denied_by, ingress_denied_by, .. } =
        message;
    let all = [egress_allowed_by, ingress_allowed_by, egress_denied_by, ingress_denied_by];
    let mut policies = all.into_iter().flatten();
    let revision = policies.clone().next().and_then(|policy| u32::try_from(policy.revision).ok());
    let refs = policies.clone().map(|proto::Policy { name, namespace, .. }| {
        PolicyRef::network_policy(ObjectName::new(namespace, name))
    });
    let with = Flow { policies: refs.collect(), policy_revision: revision.unwrap_or(0), ..flow };
    let lists = PolicyLists::of(&with);
    let is_same = lists.egress_allowed_by == *egress_allowed_by
        && lists.ingress_allowed_by == *ingress_allowed_by
        && lists.egress_denied_by == *egress_denied_by
        && lists.ingress_denied_by == *ingress_denied_by;
    let has_some = policies.next().is_some();
    if is_same && has_some { with } else { Flow { policies: Arc::new([]), policy_revision: 0, ..with } }
}
