//! The whole text for a few flows, in both formats.

use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;

use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::Label;
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};

use super::fixture::{Fixture, pod, podless};
use crate::metrics::exposition::Format;

/// The SYN of a new connection, delivered to port 8080.
pub fn flow_between(source: FlowEndpoint, destination: FlowEndpoint, direction: Direction) -> Flow {
    Flow {
        time_ns: 1,
        uuid: 0,
        event: Event::Trace(ObservationPoint::ToEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction,
        source_address: [10, 0, 0, 1].into(),
        destination_address: [10, 0, 0, 2].into(),
        transport: Transport::Tcp { source: 40_000, destination: 8_080, flags: TcpFlags(TcpFlags::SYN) },
        source: Arc::new(source),
        destination: Arc::new(destination),
        source_service: None,
        destination_service: None,
        interface: (1, Arc::from("veth0")),
        policies: Arc::from([]),
        policy_revision: 0,
    }
}

fn flows() -> Vec<Flow> {
    let (a, b) = (pod(1, "np-demo", "frontend"), pod(2, "np-demo", "web"));
    let world = podless(Identity::WORLD, vec![Label::reserved("world")]);
    let v6 = |flow: Flow| Flow {
        source_address: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
        destination_address: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
        ..flow
    };
    let syn = flow_between(a.clone(), b.clone(), Direction::Ingress);
    let syn_ack = Flow {
        state: ConnectionState::Reply,
        direction: Direction::Egress,
        transport: Transport::Tcp {
            source: 8_080,
            destination: 40_000,
            flags: TcpFlags(TcpFlags::SYN | TcpFlags::ACK),
        },
        ..flow_between(b.clone(), a.clone(), Direction::Egress)
    };
    let allowed = Flow { event: Event::PolicyVerdict(MatchType::L3L4), ..syn.clone() };
    let denied =
        Flow { event: Event::PolicyVerdict(MatchType::None), verdict: Verdict::Dropped, ..syn.clone() };
    let dropped =
        Flow { event: Event::Drop(DropReason::POLICY_DENIED), verdict: Verdict::Dropped, ..syn.clone() };
    let to_world = Flow {
        event: Event::Trace(ObservationPoint::ToStack),
        transport: Transport::Udp { source: 40_000, destination: 53 },
        ..flow_between(a.clone(), world, Direction::Egress)
    };
    let ping = v6(Flow { transport: Transport::Icmpv6 { kind: 128, code: 0 }, ..syn.clone() });
    let hostile = pod(3, "np-demo", "a\"} 1\nb\\");
    let escaped = flow_between(hostile, b, Direction::Ingress);
    vec![syn.clone(), escaped, syn, syn_ack, allowed, denied, dropped, to_world, ping]
}

fn text(format: Format) -> String {
    let selection = "flow:sourceContext=pod|reserved-identity;destinationContext=pod|reserved-identity \
                     drop:labelsContext=source_namespace,destination_namespace,traffic_direction tcp icmp policy \
                     port-distribution flows-to-world:port";
    let mut fixture = Fixture::new(selection, 5, 1_023);
    for flow in flows() {
        fixture.write(&flow);
    }
    fixture.follower.catch_up();
    fixture.text(format)
}

/// To accept a change, run with `PALOMAR_BLESS=1`.
fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("PALOMAR_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn flows_in_prometheus_text_are_the_golden_ones() {
    is_golden("metrics.prometheus.txt", &text(Format::Prometheus));
}

#[test]
fn flows_in_openmetrics_text_are_the_golden_ones() {
    is_golden("metrics.openmetrics.txt", &text(Format::OpenMetrics));
}
