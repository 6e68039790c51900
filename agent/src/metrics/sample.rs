//! Which samples a flow adds to, by their metrics' own labels.

use std::borrow::Cow;

use palomar_flow::summary::icmp_message;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::Event;
use palomar_model::packet::{Protocol, TcpFlags, Transport};
use palomar_model::verdict::{Direction, Verdict};

use super::selection::{Metric, WorldOptions};
use super::shape::Shape;

/// The value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One of a few.
    Closed(Cow<'static, str>),
    /// One of so many that traffic can make a metric grow by it.
    Open(Cow<'static, str>),
}

/// The own labels of one sample.
pub type OwnLabels = Vec<(&'static str, Value)>;

// === impl Metric ===

impl Metric {
    /// The samples of this metric that a flow adds one to: none for most metrics, several for the flags of TCP.
    pub fn samples(self, shape: &Shape) -> Vec<OwnLabels> {
        match self {
            Self::Drop => drop(shape).into_iter().collect(),
            Self::Flow => vec![flow(shape)],
            Self::FlowsToWorld(options) => flow_to_world(shape, options).into_iter().collect(),
            Self::Icmp => icmp(shape).into_iter().collect(),
            Self::Policy => policy(shape).into_iter().collect(),
            Self::PortDistribution => port_distribution(shape).into_iter().collect(),
            Self::Tcp => tcp(shape),
        }
    }
}

/// Every flow with this verdict: Hubble counts the verdict and the drop that follows from it as two.
fn drop(shape: &Shape) -> Option<OwnLabels> {
    if shape.verdict != Verdict::Dropped {
        return None;
    }
    let reason = shape.event.drop_reason(shape.verdict).unwrap_or(DropReason(0));
    let reason = reason.name().map_or_else(|| reason.0.to_string().into(), Cow::Borrowed);
    Some(vec![("reason", Value::Closed(reason)), ("protocol", closed(protocol(shape)))])
}

fn flow(shape: &Shape) -> OwnLabels {
    let (kind, subtype) = match shape.event {
        Event::Trace(point) => ("Trace", point.name()),
        Event::Drop(_) => ("Drop", ""),
        Event::PolicyVerdict(_) => ("PolicyVerdict", ""),
    };
    vec![
        ("protocol", closed(protocol(shape))),
        ("type", closed(kind)),
        ("subtype", closed(subtype)),
        ("verdict", closed(shape.verdict.name())),
    ]
}

fn flow_to_world(shape: &Shape, options: WorldOptions) -> Option<OwnLabels> {
    let WorldOptions { any_drop, port: with_port, syn_only } = options;
    let is_dropped = shape.verdict == Verdict::Dropped;
    let is_reply = shape.is_reply == Some(true);
    let has_header = !matches!(shape.transport, Transport::Other(_));
    let is_other_drop =
        is_dropped && shape.event.drop_reason(shape.verdict) != Some(DropReason::POLICY_DENIED);
    let is_first = has_flags(shape, TcpFlags::SYN) && !is_reply;
    if !shape.to_world
        || !has_header
        || is_other_drop && !any_drop
        || is_reply && !is_dropped
        || syn_only && !is_first
    {
        return None;
    }
    let mut labels = vec![("protocol", closed(protocol(shape))), ("verdict", closed(shape.verdict.name()))];
    if with_port {
        labels.push((
            "port",
            Value::Open(port(shape).map_or_else(String::new, |port| port.to_string()).into()),
        ));
    }
    Some(labels)
}

fn icmp(shape: &Shape) -> Option<OwnLabels> {
    let message = icmp_message(shape.transport)?;
    let family = if matches!(shape.transport, Transport::Icmp { .. }) { "IPv4" } else { "IPv6" };
    Some(vec![("family", closed(family)), ("type", Value::Open(message.into()))])
}

/// What the node itself sends is always allowed, and not counted.
fn policy(shape: &Shape) -> Option<OwnLabels> {
    let Event::PolicyVerdict(match_type) = shape.event else { return None };
    if shape.from_host {
        return None;
    }
    Some(vec![
        ("direction", closed(direction(shape.direction))),
        ("match", Value::Closed(match_type.name().to_lowercase().into())),
        ("action", Value::Closed(shape.verdict.name().to_lowercase().into())),
    ])
}

/// A flow that may be a reply is not counted, because its port may be an ephemeral one.
fn port_distribution(shape: &Shape) -> Option<OwnLabels> {
    let has_header = !matches!(shape.transport, Transport::Other(_));
    if shape.verdict != Verdict::Forwarded || shape.is_reply != Some(false) || !has_header {
        return None;
    }
    let port = port(shape).unwrap_or(0).to_string();
    Some(vec![("protocol", closed(protocol(shape))), ("port", Value::Open(port.into()))])
}

fn tcp(shape: &Shape) -> Vec<OwnLabels> {
    if shape.verdict != Verdict::Forwarded {
        return Vec::new();
    }
    let family = if shape.is_ipv6 { "IPv6" } else { "IPv4" };
    let syn = if has_flags(shape, TcpFlags::ACK) { "SYN-ACK" } else { "SYN" };
    [(TcpFlags::FIN, "FIN"), (TcpFlags::SYN, syn), (TcpFlags::RST, "RST")]
        .into_iter()
        .filter(|(bit, _)| has_flags(shape, *bit))
        .map(|(_, flag)| vec![("flag", closed(flag)), ("family", closed(family))])
        .collect()
}

/// The value of a label that tells a direction.
pub fn direction(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Ingress) => "ingress",
        Some(Direction::Egress) => "egress",
        None => "unknown",
    }
}

fn closed(value: &'static str) -> Value {
    Value::Closed(Cow::Borrowed(value))
}

fn protocol(shape: &Shape) -> &'static str {
    match shape.transport.protocol() {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
        Protocol::Icmp => "ICMPv4",
        Protocol::Icmpv6 => "ICMPv6",
        Protocol::Other(_) => "Unknown L4",
    }
}

fn port(shape: &Shape) -> Option<u16> {
    shape.transport.ports().map(|(_, destination)| destination)
}

fn has_flags(shape: &Shape, mask: u8) -> bool {
    matches!(shape.transport, Transport::Tcp { flags, .. } if flags.has(mask))
}
