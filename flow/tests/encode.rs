//! Spliced responses against those that are built, masked and encoded.

use std::net::IpAddr;
use std::sync::Arc;

use palomar_flow::convert::{self, NodeContext};
use palomar_flow::encode::{FlowEncoder, FlowParts};
use palomar_flow::json;
use palomar_flow::mask::{FieldMask, STOCK_DEFAULT};
use palomar_flow::rest::{Rest, Stands};
use palomar_flow::sighting::Sighting;
use palomar_flow::view::Side;
use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use palomar_proto::flow as proto;
use palomar_proto::observer::GetFlowsResponse;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use prost::Message;

/// Paths of every kind: whole fields, nested ones, choices, and fields that no flow of ours has.
const PATHS: &[&str] = &[
    "time",
    "time.seconds",
    "time.nanos",
    "uuid",
    "emitter",
    "emitter.name",
    "verdict",
    "ethernet",
    "ethernet.source",
    "IP",
    "IP.source",
    "IP.ipVersion",
    "IP.encrypted",
    "l4",
    "l4.TCP",
    "l4.TCP.flags",
    "l4.TCP.flags.SYN",
    "l4.UDP.source_port",
    "l4.ICMPv4",
    "source",
    "source.identity",
    "source.labels",
    "source.pod_name",
    "destination",
    "destination.ID",
    "destination.workloads",
    "destination.namespace",
    "Type",
    "node_name",
    "node_labels",
    "l7",
    "l7.dns",
    "event_type",
    "event_type.sub_type",
    "source_service",
    "source_service.name",
    "destination_service",
    "destination_service.namespace",
    "traffic_direction",
    "policy_match_type",
    "trace_observation_point",
    "trace_reason",
    "drop_reason",
    "drop_reason_desc",
    "reply",
    "is_reply",
    "is_reply.value",
    "interface",
    "interface.name",
    "Summary",
    "ingress_allowed_by",
    "egress_denied_by",
    "trace_context.parent",
    "source_names",
];

/// Names as they are, as they may be, and as nobody should make them; lengths around those at which a length takes
/// another byte.
fn any_name() -> BoxedStrategy<String> {
    prop_oneof![
        4 => select(vec!["", "web", "web-7d9f", "kube-system", "Deployment"]).prop_map(str::to_owned),
        2 => "\\PC{0,40}",
        1 => (select(vec![0_usize, 60, 120, 250, 16_200, 16_380, 70_000]), 0..10_usize)
            .prop_map(|(length, more)| "n".repeat(length + more)),
    ]
    .boxed()
}

prop_compose! {
    fn any_endpoint()(
        id in select(vec![0_u32, 1, 300, u32::MAX]), identity in select(vec![0_u32, 2, 70_000, u32::MAX]),
        labels in prop::collection::vec((any_name(), any_name()), 0..4),
        pod in prop::option::of((any_name(), any_name())),
        workload in prop::option::of((any_name(), any_name())),
        cluster in any_name(),
    ) -> Arc<FlowEndpoint> {
        Arc::new(FlowEndpoint {
            id,
            identity: Identity(identity),
            labels: LabelSet::new(labels.into_iter().map(|(key, value)| Label::k8s(key, value)).collect()),
            pod: pod.map(|(namespace, name)| ObjectName { namespace, name }),
            workload: workload.map(|(name, kind)| Workload { name, kind }),
            cluster: cluster.into(),
        })
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    use MatchType::{All, L3L4, L3Only, L3Proto, L4Only, ProtoOnly};
    use ObservationPoint::{FromEndpoint, ToEndpoint, ToStack};
    prop_oneof![
        select(vec![ToEndpoint, ToStack, FromEndpoint]).prop_map(Event::Trace),
        any::<u8>().prop_map(|reason| Event::Drop(DropReason(reason))),
        select(vec![MatchType::None, L3Only, L3L4, L4Only, All, L3Proto, ProtoOnly])
            .prop_map(Event::PolicyVerdict),
    ]
}

fn any_transport() -> impl Strategy<Value = Transport> {
    let port = || prop_oneof![Just(0_u16), 1_u16..200, any::<u16>()];
    prop_oneof![
        (port(), port(), any::<u8>()).prop_map(|(source, destination, flags)| Transport::Tcp {
            source,
            destination,
            flags: TcpFlags(flags)
        }),
        (port(), port()).prop_map(|(source, destination)| Transport::Udp { source, destination }),
        (port(), port()).prop_map(|(source, destination)| Transport::Sctp { source, destination }),
        any::<(u8, u8)>().prop_map(|(kind, code)| Transport::Icmp { kind, code }),
        any::<(u8, u8)>().prop_map(|(kind, code)| Transport::Icmpv6 { kind, code }),
        any::<u8>().prop_map(Transport::Other),
    ]
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn any_service() -> impl Strategy<Value = Option<ObjectName>> {
    prop::option::of((any_name(), any_name()).prop_map(|(namespace, name)| ObjectName { namespace, name }))
}

prop_compose! {
    fn any_flow()(
        time_ns in prop_oneof![any::<i64>(), Just(0), Just(-1), 1_772_600_761_000_000_000..1_772_600_762_000_000_000_i64],
        uuid: u128, event in any_event(), transport in any_transport(),
        verdict in select(vec![Verdict::Forwarded, Verdict::Dropped, Verdict::Audit]),
        state in select(vec![
            ConnectionState::Unknown, ConnectionState::New, ConnectionState::Established, ConnectionState::Reply,
            ConnectionState::Related,
        ]),
        direction in select(Direction::BOTH.to_vec()), addresses in (any_address(), any_address()),
        ends in (any_endpoint().boxed(), any_endpoint().boxed()), services in (any_service(), any_service()),
        interface in (select(vec![0_u32, 1, 200, u32::MAX]), any_name()),
        policies in prop::collection::vec((any_name(), any_name()), 0..3),
        policy_revision in select(vec![0_u32, 1, u32::MAX]),
    ) -> Flow {
        let policy = |(namespace, name)| PolicyRef::network_policy(ObjectName { namespace, name });
        Flow {
            time_ns, uuid, event, verdict, state, direction, transport,
            source_address: addresses.0, destination_address: addresses.1,
            source: ends.0, destination: ends.1,
            source_service: services.0, destination_service: services.1,
            interface: (interface.0, interface.1.into()),
            policies: policies.into_iter().map(policy).collect(),
            policy_revision,
        }
    }
}

fn any_mask() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        Just(Vec::new()),
        Just(STOCK_DEFAULT.to_vec()),
        subsequence(PATHS, 0..8),
        subsequence(PATHS, 0..PATHS.len()),
    ]
}

fn node() -> NodeContext {
    NodeContext::new(
        "k1",
        "prod",
        &Labels::from([("zone".into(), "a".into()), ("os".into(), "x".into())]),
        "0.1.0",
    )
}

/// Fields that are said beyond a typed flow, as JSON; the last are of a flow that is no typed one.
const MORE: &[&str] = &[
    r#""ethernet":{"source":"0a:b0:cc:e3:82:b5","destination":"0a:b0:cc:e3:82:b6"}"#,
    r#""verdict":"REDIRECTED","Summary":"TCP Flags: SYN; at nf_hook_slow""#,
    r#""source_names":["a.example.com","b.example.com"]"#,
    r#""source":{"pod_name":"other","labels":["any:a=b"]},"IP":{"encrypted":true,"source":"x"}"#,
    r#""node_name":"k2","node_labels":["zone=b"],"emitter":{"version":"9"}"#,
    r#""l7":{"type":"REQUEST","dns":{"query":"a."}},"trace_context":{"parent":{"trace_id":"4b"}}"#,
];

fn fields(json: &str) -> proto::Flow {
    json::parse(&format!("{{{json}}}")).expect("invariant: this is a flow").message
}

/// What is said beside a flow or instead of it.
fn any_rest() -> impl Strategy<Value = Option<(Stands, proto::Flow)>> {
    let more = || select(MORE).prop_map(fields);
    prop_oneof![
        2 => Just(None),
        2 => more().prop_map(|more| Some((Stands::Beside, more))),
        1 => more().prop_map(|more| Some((Stands::Instead, more))),
    ]
}

fn rest(said: Option<&(Stands, proto::Flow)>, flow: &Flow, node: &NodeContext) -> Option<Rest> {
    let (stands, more) = said?;
    let message = match stands {
        Stands::Beside => {
            let mut message = convert::to_proto(flow, node);
            message.merge(&*more.encode_to_vec()).expect("invariant: this is a flow");
            message
        }
        Stands::Instead => more.clone(),
    };
    Rest::of(&message, flow, node)
}

fn parts<'a>(
    flow: &'a Flow,
    source: &'a [u8],
    destination: &'a [u8],
    rest: Option<&'a Rest>,
) -> FlowParts<'a> {
    FlowParts {
        time_ns: flow.time_ns,
        uuid: flow.uuid,
        sighting: Sighting::of(flow),
        source_address: flow.source_address,
        destination_address: flow.destination_address,
        transport: flow.transport,
        source,
        destination,
        source_service: flow.source_service.as_ref(),
        destination_service: flow.destination_service.as_ref(),
        interface: (flow.interface.0, &flow.interface.1),
        policies: &flow.policies,
        policy_revision: flow.policy_revision,
        rest,
    }
}

proptest! {
    #[test]
    fn a_spliced_response_is_the_message_that_is_built_and_no_longer(
        flows in prop::collection::vec((any_flow().boxed(), any_rest()), 1..6).boxed(), paths in any_mask(),
    ) {
        let node = node();
        let mask = FieldMask::compile(&paths).unwrap();
        let mut encoder = FlowEncoder::new(&mask, &node);
        let mut out = Vec::new();
        for (flow, said) in &flows {
            let rest = rest(said.as_ref(), flow, &node);
            prop_assert_eq!(rest.is_some(), said.is_some());
            let source = encoder.end(Side::Source, &flow.source);
            let destination = encoder.end(Side::Destination, &flow.destination);
            let before = out.len();
            encoder.response(&parts(flow, &source, &destination, rest.as_ref()), &mut out);
            let built = convert::to_proto(flow, &node);
            let message = rest.as_ref().map_or(built, |rest| rest.with(flow, &node));
            let expected = convert::to_response(mask.apply(message));
            prop_assert_eq!(GetFlowsResponse::decode(&out[before..]).unwrap(), expected.clone(), "{:?}", paths);
            if rest.is_none() {
                prop_assert_eq!(out.len() - before, expected.encoded_len());
            }
        }
    }
}
