//! What must hold for all flows and filters.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_flow::convert::{self, NodeContext, Typed};
use palomar_flow::filter::{Filters, Memo, Sieve};
use palomar_flow::json;
use palomar_flow::sighting::Sighting;
use palomar_flow::view::{
    Address, EndpointView, FlowView, Part, Side, Transport, TypedFlow, Uuid, header_key, port_key,
};
use palomar_model::attribution::PolicyRef;
use palomar_model::drop_reason::DropReason;
use palomar_model::flow::{Event, Flow, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet, Labels};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::{TcpFlags, Transport as PacketTransport};
use palomar_model::verdict::{ConnectionState, Direction, MatchType, ObservationPoint, Verdict};
use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::GetFlowsResponse;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use prost::Message as _;

/// A flow whose ends have keys, as in a ring where endpoints are interned.
struct Keyed<'a> {
    flow: TypedFlow<'a>,
    keys: (u32, u32),
}

impl FlowView for Keyed<'_> {
    type Endpoint = FlowEndpoint;

    fn message(&self) -> Option<Cow<'_, palomar_proto::flow::Flow>> {
        self.flow.message()
    }

    fn key(&self, part: Part) -> Option<u64> {
        let Flow { source_address, transport, .. } = *self.flow.flow;
        match part {
            Part::End(side) => Some(side.of(self.keys.0, self.keys.1).into()),
            Part::Service(side) => Some(self.flow.service(side).is_some().into()),
            Part::Port(side) => Some(port_key(transport, side)),
            Part::Node => Some(0),
            Part::Interface => Some(self.flow.flow.interface.0.into()),
            Part::Event => Some(Sighting::of(self.flow.flow).number().into()),
            Part::Header => Some(header_key(transport, source_address.is_ipv4())),
            Part::Address(_) | Part::Other => None,
        }
    }
    fn endpoint(&self, side: Side) -> Option<&FlowEndpoint> {
        self.flow.endpoint(side)
    }
    fn service(&self, side: Side) -> Option<(&str, &str)> {
        self.flow.service(side)
    }
    fn address(&self, side: Side) -> Address<'_> {
        self.flow.address(side)
    }
    fn ip_version(&self) -> i32 {
        self.flow.ip_version()
    }
    fn transport(&self) -> Option<Transport> {
        self.flow.transport()
    }
    fn uuid(&self) -> Uuid<'_> {
        self.flow.uuid()
    }
    fn event_type(&self) -> Option<(i32, i32)> {
        self.flow.event_type()
    }
    fn verdict(&self) -> i32 {
        self.flow.verdict()
    }
    fn drop_reason(&self) -> i32 {
        self.flow.drop_reason()
    }
    fn is_reply(&self) -> Option<bool> {
        self.flow.is_reply()
    }
    fn traffic_direction(&self) -> i32 {
        self.flow.traffic_direction()
    }
    fn interface(&self) -> Option<(u32, &str)> {
        self.flow.interface()
    }
    fn node_name(&self) -> &str {
        self.flow.node_name()
    }
    fn node_labels(&self) -> impl Iterator<Item = &str> {
        self.flow.node.labels().iter().map(String::as_str)
    }
}

fn node() -> NodeContext {
    NodeContext::new("k1", "prod", &Labels::from([("zone".into(), "a".into())]), "0.1.0")
}

/// A handful of endpoints: two pods alike but for one thing, a pod without a workload, the world, nothing known.
fn endpoints() -> Vec<Arc<FlowEndpoint>> {
    let endpoint = |id,
                    identity,
                    labels: Vec<Label>,
                    pod: Option<(&str, &str)>,
                    workload: Option<&str>,
                    cluster: &str| {
        Arc::new(FlowEndpoint {
            id,
            identity: Identity(identity),
            labels: LabelSet::new(labels),
            pod: pod.map(|(namespace, name)| ObjectName::new(namespace, name)),
            workload: workload.map(|name| Workload { name: name.into(), kind: "Deployment".into() }),
            cluster: cluster.into(),
        })
    };
    vec![
        endpoint(1, 300, vec![Label::k8s("app", "web")], Some(("shop", "web-1")), Some("web"), "prod"),
        endpoint(2, 300, vec![Label::k8s("app", "web")], Some(("shop", "web-2")), Some("web"), "prod"),
        endpoint(3, 301, vec![Label::k8s("app", "db")], Some(("default", "db")), None, "test"),
        endpoint(0, 2, vec![Label::reserved("world"), Label::cidr("10.0.0.0/8")], None, None, ""),
        endpoint(0, 0, vec![], None, None, ""),
    ]
}

prop_compose! {
    fn any_event()(
        kind in 0..3, reason in select(vec![132_u8, 133, 181]),
        point in select(vec![ObservationPoint::ToEndpoint, ObservationPoint::ToStack, ObservationPoint::FromEndpoint]),
        match_type in select(vec![MatchType::None, MatchType::L3L4]),
    ) -> Event {
        match kind {
            0 => Event::Trace(point),
            1 => Event::Drop(DropReason(reason)),
            _ => Event::PolicyVerdict(match_type),
        }
    }
}

fn any_transport() -> impl Strategy<Value = PacketTransport> {
    let port = || select(vec![53_u16, 80, 40_000]);
    prop_oneof![
        (port(), port(), any::<u8>()).prop_map(|(source, destination, flags)| PacketTransport::Tcp {
            source,
            destination,
            flags: TcpFlags(flags)
        }),
        (port(), port()).prop_map(|(source, destination)| PacketTransport::Udp { source, destination }),
        (port(), port()).prop_map(|(source, destination)| PacketTransport::Sctp { source, destination }),
        Just(PacketTransport::Icmp { kind: 8, code: 0 }),
        Just(PacketTransport::Icmpv6 { kind: 128, code: 0 }),
        select(vec![2, 47, 112]).prop_map(PacketTransport::Other),
    ]
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    select(vec!["10.0.0.1", "10.1.0.1", "192.0.2.1", "fd00::1", "::ffff:10.0.0.1"])
        .prop_map(|text| text.parse().expect("invariant: these are addresses"))
}

prop_compose! {
    /// A flow, and the keys of its ends.
    fn any_flow()(
        event in any_event(), transport in any_transport(), keys in (0..5_u32, 0..5_u32),
        verdict in select(vec![Verdict::Forwarded, Verdict::Dropped, Verdict::Audit]),
        state in select(vec![ConnectionState::Unknown, ConnectionState::New, ConnectionState::Reply]),
        direction in select(Direction::BOTH.to_vec()), addresses in (any_address(), any_address()),
        service in any::<bool>(), uuid in 0..3_u128, interface in 0..3_u32,
    ) -> (Flow, (u32, u32)) {
        let end = |key: u32| endpoints()[key as usize].clone();
        let flow = Flow {
            time_ns: -1, uuid, event, verdict, state, direction, transport,
            source_address: addresses.0, destination_address: addresses.1,
            source: end(keys.0), destination: end(keys.1),
            source_service: None,
            destination_service: service.then(|| ObjectName::new("shop", "web")),
            interface: (interface, "veth1".into()),
            policies: Arc::new([PolicyRef::network_policy(ObjectName::new("shop", "deny"))]),
            policy_revision: 7,
        };
        (flow, keys)
    }
}

/// Filters of one or more fields, as JSON members.
const FIELDS: &[&str] = &[
    r#""source_pod":["shop/web-1"]"#,
    r#""destination_pod":["shop/","db"]"#,
    r#""source_label":["app=web","reserved:world"]"#,
    r#""destination_label":["!app","cidr:10.0.0.0/7"]"#,
    r#""source_identity":[300,2]"#,
    r#""destination_identity":[0]"#,
    r#""source_workload":[{"name":"web"}]"#,
    r#""destination_workload":[{"kind":"Deployment"}]"#,
    r#""source_cluster_name":["prod"]"#,
    r#""destination_service":["shop/w"]"#,
    r#""source_ip":["10.0.0.0/8","fd00::1","fd00:0::1"]"#,
    r#""destination_ip":["192.0.2.1","::ffff:0.0.0.0/96"]"#,
    r#""source_port":["80","40000"]"#,
    r#""destination_port":["53"]"#,
    r#""protocol":["tcp","icmp"]"#,
    r#""tcp_flags":[{"SYN":true},{"ACK":true,"CWR":true}]"#,
    r#""verdict":["DROPPED","AUDIT"]"#,
    r#""drop_reason_desc":["POLICY_DENIED"]"#,
    r#""event_type":[{"type":1},{"type":4,"match_sub_type":true,"sub_type":3}]"#,
    r#""reply":[false]"#,
    r#""traffic_direction":["INGRESS"]"#,
    r#""ip_version":["IPv6"]"#,
    r#""interface":[{"name":"veth1"}]"#,
    r#""node_name":["prod/*"]"#,
    r#""node_labels":["zone in (a)"]"#,
    r#""uuid":["00000000-0000-0000-0000-000000000001"]"#,
    r#""encrypted":[false]"#,
];

/// Fields that a typed flow does not have and no filter reads, as JSON members.
const UNREAD: &[&str] = &[
    r#""emitter":{"name":"Hubble","version":"1.19.4"}"#,
    r#""ethernet":{"source":"0a:b0:cc:e3:82:b5"}"#,
    r#""file":{"name":"bpf_lxc.c","line":1343}"#,
    r#""auth_type":"SPIRE""#,
    r#""proxy_port":15001"#,
    r#""Summary":"TCP""#,
    r#""trace_reason":"SRV6_ENCAP""#,
    r#""ingress_allowed_by":[{"name":"a","labels":["k8s:b=c"],"kind":"CiliumNetworkPolicy"}]"#,
];

/// Fields beyond a typed flow that filters read.
const READ: &[&str] = &[
    r#""IP":{"encrypted":true,"source_xlated":"10.0.0.1"}"#,
    r#""l4":{"TCP":{"flags":{"NS":true}}}"#,
    r#""source":{"workloads":[{"name":"web","kind":"ReplicaSet"}]}"#,
    r#""source":{"labels":["container:app=web"]}"#,
    r#""verdict":"REDIRECTED""#,
    r#""l7":{"type":"REQUEST","http":{"method":"GET"}}"#,
    r#""destination_names":["a.example.com"]"#,
    r#""node_name":"prod/k2""#,
    r#""is_reply":true"#,
    r#""traffic_direction":"EGRESS""#,
];

/// What a message tells of a flow; what it does not is as in every flow that is read from one.
fn told(flow: &Flow) -> Flow {
    let usual = match flow.event {
        Event::Trace(ObservationPoint::ToEndpoint) => Direction::Ingress,
        Event::Trace(_) => Direction::Egress,
        // the list that the policy stands in tells it
        Event::Drop(_) | Event::PolicyVerdict(_) => flow.direction,
    };
    let is_trace = matches!(flow.event, Event::Trace(_));
    let says = |direction: Direction| {
        let local = if direction == Direction::Ingress { &flow.destination } else { &flow.source };
        flow.event.traffic_direction(flow.state, direction, local.id != 0)
    };
    Flow {
        policies: if is_trace { Arc::new([]) } else { Arc::clone(&flow.policies) },
        policy_revision: if is_trace { 0 } else { flow.policy_revision },
        state: if is_trace { flow.state } else { ConnectionState::New },
        direction: if says(usual) == says(flow.direction) { usual } else { flow.direction },
        transport: match flow.transport {
            PacketTransport::Other(number) if ![2, 112].contains(&number) => PacketTransport::Other(255),
            transport => transport,
        },
        interface: if flow.interface.0 == 0 { (0, "".into()) } else { flow.interface.clone() },
        ..flow.clone()
    }
}

fn any_filters() -> impl Strategy<Value = Vec<FlowFilter>> {
    let filter = subsequence(FIELDS, 0..4).prop_map(|fields| {
        let text = format!("{{{}}}", fields.join(","));
        json::parse::<FlowFilter>(&text).expect("invariant: these are filters").message
    });
    // now and then more than the bits of one word
    prop_oneof![
        8 => proptest::collection::vec(filter.clone(), 0..3),
        1 => proptest::collection::vec(filter, 60..140),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

    #[test]
    fn a_memo_changes_no_answer_and_neither_does_the_kind_of_view(
        whitelist in any_filters(), blacklist in any_filters(),
        flows in proptest::collection::vec(any_flow(), 1..12),
    ) {
        let filters = Filters::compile(&whitelist, &blacklist).unwrap();
        let node = node();
        let mut plain = Vec::new();
        for (at, (flow, _)) in flows.iter().enumerate() {
            let matches = filters.matches(&TypedFlow { flow, node: &node });
            prop_assert_eq!(filters.matches(&convert::to_proto(flow, &node)), matches, "{:?}", flow);
            plain.extend(matches.then_some(at));
        }
        let keyed = |at: usize| {
            let (flow, keys) = &flows[at];
            Keyed { flow: TypedFlow { flow, node: &node }, keys: *keys }
        };
        let (mut memo, mut sieve) = (Memo::default(), Sieve::default());
        for _ in 0..2 {
            filters.sift(flows.len(), keyed, &mut memo, &mut sieve);
            prop_assert_eq!(sieve.wanted(), &plain);
        }
    }

    #[test]
    fn fields_of_a_filter_must_all_match_and_filters_of_a_list_need_only_one((flow, _) in any_flow()) {
        let node = node();
        let typed = TypedFlow { flow: &flow, node: &node };
        let matches = |members: &[&str]| {
            let filter = json::parse::<FlowFilter>(&format!("{{{}}}", members.join(","))).unwrap().message;
            Filters::compile(&[filter], &[]).unwrap().matches(&typed)
        };
        for (first, second) in FIELDS.iter().zip(&FIELDS[1..]) {
            prop_assert_eq!(matches(&[first, second]), matches(&[first]) && matches(&[second]));
        }
    }

    #[test]
    fn a_typed_flow_comes_back_from_its_message((flow, _) in any_flow()) {
        let typed = Typed::of(&convert::to_proto(&flow, &node()), &node());
        prop_assert_eq!(typed, Typed { flow: told(&flow), rest: None });
    }

    #[test]
    fn what_a_typed_flow_leaves_out_is_kept_and_told_apart_by_whether_filters_read_it(
        (flow, _) in any_flow(),
        unread in subsequence(UNREAD, 0..UNREAD.len()), read in subsequence(READ, 0..3),
    ) {
        let node = node();
        let mut message = convert::to_proto(&flow, &node);
        let members = format!("{{{}}}", [&unread[..], &read[..]].concat().join(","));
        let more = json::parse::<palomar_proto::flow::Flow>(&members);
        // two members of one name are no JSON
        prop_assume!(more.is_ok());
        message.merge(&more.unwrap().message.encode_to_vec()[..]).unwrap();
        let typed = Typed::of(&message, &node);
        prop_assert_eq!(&typed.to_proto(&node), &message);
        let is_filtered = typed.rest.as_ref().is_some_and(palomar_flow::rest::Rest::is_filtered);
        if read.is_empty() {
            prop_assert!(!is_filtered, "{:?}", unread);
        }
        for field in FIELDS {
            let filter = json::parse::<FlowFilter>(&format!("{{{field}}}")).unwrap().message;
            let filters = Filters::compile(&[filter], &[]).unwrap();
            let says = filters.matches(&TypedFlow { flow: &typed.flow, node: &node });
            prop_assert!(is_filtered || says == filters.matches(&message), "{}", field);
        }
    }

    #[test]
    fn converted_flows_have_json((flow, _) in any_flow()) {
        let response = convert::to_response(convert::to_proto(&flow, &node()));
        let text = json::to_string(&response).unwrap();
        prop_assert_eq!(json::parse::<GetFlowsResponse>(&text).unwrap().message, response);
    }
}

#[test]
fn the_views_of_an_endpoint_agree() {
    for endpoint in endpoints() {
        let message = convert::endpoint_to_proto(&endpoint);
        assert!(endpoint.labels().eq(EndpointView::labels(&message)));
        assert!(endpoint.workloads().eq(EndpointView::workloads(&message)));
        assert_eq!(endpoint.identity(), message.identity());
    }
}
