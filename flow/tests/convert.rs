//! Typed flows as messages: one flow of each kind, as JSON.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test would")]

use std::sync::Arc;

use palomar_flow::convert::{NodeContext, to_proto, to_response};
use palomar_flow::json;
use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};

fn pod(id: u32, identity: u32, name: &str, workload: Option<&str>) -> Arc<FlowEndpoint> {
    Arc::new(FlowEndpoint {
        id,
        identity: Identity(identity),
        labels: LabelSet::new(vec![Label::k8s("app", name)]),
        pod: Some(ObjectName::new("np-demo", name)),
        workload: workload.map(|name| Workload { name: name.into(), kind: "Deployment".into() }),
        cluster: "default".into(),
    })
}

fn flow() -> Flow {
    Flow {
        time_ns: 1_772_600_761_123_456_789,
        uuid: 0x0123_4567_89ab_4def_8123_4567_89ab_cdef,
        event: Event::Trace(ObservationPoint::ToEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Ingress,
        source_address: "10.0.0.1".parse().unwrap(),
        destination_address: "10.0.0.2".parse().unwrap(),
        transport: Transport::Tcp { source: 40_000, destination: 8080, flags: TcpFlags(TcpFlags::SYN) },
        source: pod(7, 300, "frontend", Some("frontend")),
        destination: pod(8, 301, "web", None),
        source_service: None,
        destination_service: None,
        interface: (12, "veth8".into()),
        policies: Arc::new([PolicyRef::network_policy(ObjectName::new("np-demo", "web"))]),
        policy_revision: 3,
    }
}

fn node() -> NodeContext {
    NodeContext::new("k1", "default", &Labels::new(), "0.1.0")
}

#[test]
fn a_delivered_packet_becomes_a_trace() {
    let expected = concat!(
        r#"{"flow":{"time":"2026-03-04T05:06:01.123456789Z","uuid":"01234567-89ab-4def-8123-456789abcdef","#,
        r#""emitter":{"name":"Palomar","version":"0.1.0"},"verdict":"FORWARDED","#,
        r#""IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},"#,
        r#""l4":{"TCP":{"source_port":40000,"destination_port":8080,"flags":{"SYN":true}}},"#,
        r#""source":{"ID":7,"identity":300,"cluster_name":"default","namespace":"np-demo","labels":["k8s:app=frontend"],"#,
        r#""pod_name":"frontend","workloads":[{"name":"frontend","kind":"Deployment"}]},"#,
        r#""destination":{"ID":8,"identity":301,"cluster_name":"default","namespace":"np-demo","labels":["k8s:app=web"],"#,
        r#""pod_name":"web"},"Type":"L3_L4","node_name":"k1","event_type":{"type":4},"traffic_direction":"INGRESS","#,
        r#""trace_observation_point":"TO_ENDPOINT","trace_reason":"NEW","is_reply":false,"#,
        r#""interface":{"index":12,"name":"veth8"},"Summary":"TCP Flags: SYN"},"#,
        r#""node_name":"k1","time":"2026-03-04T05:06:01.123456789Z"}"#,
    );
    assert_eq!(json::to_string(&to_response(to_proto(&flow(), &node()))).unwrap(), expected);
}

/// What follows the endpoints in the JSON of a flow, up to the interface.
fn tail(flow: &Flow) -> String {
    let text = json::to_string(&to_proto(flow, &node())).unwrap();
    let from = text.find(r#""node_name""#).unwrap();
    let to = text.find(r#","interface""#).unwrap();
    text[from..to].to_owned()
}

#[test]
fn a_drop_tells_its_reason_and_who_isolates_the_pod() {
    let dropped = Flow { event: Event::Drop(DropReason::POLICY_DENIED), verdict: Verdict::Dropped, ..flow() };
    assert_eq!(
        tail(&dropped),
        r#""node_name":"k1","event_type":{"type":1,"sub_type":133},"traffic_direction":"INGRESS","drop_reason_desc":"POLICY_DENIED""#
    );
    let message = to_proto(&dropped, &node());
    assert_eq!(message.drop_reason, 133);
    let [policy] = &message.ingress_denied_by[..] else { panic!("{message:?}") };
    assert_eq!(
        (policy.namespace.as_str(), policy.name.as_str(), policy.kind.as_str(), policy.revision),
        ("np-demo", "web", "NetworkPolicy", 3)
    );
    let lists = [&message.ingress_allowed_by, &message.egress_allowed_by, &message.egress_denied_by];
    assert!(lists.into_iter().all(Vec::is_empty));
}

#[test]
fn a_verdict_names_its_policies_in_the_list_of_its_direction_and_outcome() {
    let verdict = |verdict, direction| {
        let event = Event::PolicyVerdict(MatchType::L3L4);
        let message = to_proto(&Flow { event, verdict, direction, ..flow() }, &node());
        let lists = [
            &message.ingress_allowed_by,
            &message.ingress_denied_by,
            &message.egress_allowed_by,
            &message.egress_denied_by,
        ];
        lists.map(Vec::len)
    };
    assert_eq!(verdict(Verdict::Forwarded, Direction::Ingress), [1, 0, 0, 0]);
    assert_eq!(verdict(Verdict::Dropped, Direction::Ingress), [0, 1, 0, 0]);
    assert_eq!(verdict(Verdict::Forwarded, Direction::Egress), [0, 0, 1, 0]);
    assert_eq!(verdict(Verdict::Audit, Direction::Egress), [0, 0, 0, 1]);
    let allowed =
        Flow { event: Event::PolicyVerdict(MatchType::L3L4), direction: Direction::Egress, ..flow() };
    assert_eq!(
        tail(&allowed),
        r#""node_name":"k1","event_type":{"type":5},"traffic_direction":"EGRESS","policy_match_type":2,"is_reply":false"#
    );
}

#[test]
fn the_direction_of_a_trace_is_that_of_its_connection() {
    let direction = |state, direction, id| {
        let end = pod(id, 300, "a", None);
        let flow = Flow { state, direction, source: end.clone(), destination: end, ..flow() };
        to_proto(&flow, &node()).traffic_direction().as_str_name()
    };
    assert_eq!(direction(ConnectionState::New, Direction::Ingress, 1), "INGRESS");
    assert_eq!(direction(ConnectionState::Reply, Direction::Ingress, 1), "EGRESS");
    assert_eq!(direction(ConnectionState::Reply, Direction::Egress, 1), "INGRESS");
    assert_eq!(direction(ConnectionState::Unknown, Direction::Egress, 1), "TRAFFIC_DIRECTION_UNKNOWN");
    assert_eq!(direction(ConnectionState::New, Direction::Egress, 0), "TRAFFIC_DIRECTION_UNKNOWN");
}

#[test]
fn a_reply_says_so_twice_and_a_node_of_a_named_cluster_shows_it() {
    let node = NodeContext::new("k1", "prod", &Labels::from([("zone".into(), "a".into())]), "0.1.0");
    let message = to_proto(&Flow { state: ConnectionState::Reply, ..flow() }, &node);
    assert_eq!((message.is_reply, message.reply), (Some(true), true));
    assert_eq!(
        (message.node_name.as_str(), &message.node_labels[..]),
        ("prod/k1", &["zone=a".to_owned()][..])
    );
}

#[test]
fn a_packet_seen_leaving_and_never_again_is_told_as_not_delivered() {
    let lost =
        Flow { event: Event::Trace(ObservationPoint::FromEndpoint), direction: Direction::Egress, ..flow() };
    let message = to_proto(&lost, &node());
    assert_eq!(message.summary, "TCP Flags: SYN; not delivered");
    assert_eq!(message.trace_observation_point().as_str_name(), "FROM_ENDPOINT");
}
