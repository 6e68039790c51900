//! Queries against a memory that keeps every flow and looks at each.

use palomar_flow::convert::{timestamp, to_response};
use palomar_flow::filter::Filters;
use palomar_flow::mask::{FieldMask, STOCK_DEFAULT};
use palomar_flow::uuid::format_uuid;
use palomar_proto::flow::{EventTypeFilter, FlowFilter, Verdict};
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse};
use proptest::prelude::*;
use prost_types::FieldMask as Mask;

use super::fixture::{Fixture, fixture};

/// What the API should answer, the slow way.
fn expected(fixture: &Fixture, request: &GetFlowsRequest) -> Vec<GetFlowsResponse> {
    let filters = Filters::compile(&request.whitelist, &request.blacklist).unwrap();
    let paths = request.field_mask.as_ref().map_or(Vec::new(), |mask| mask.paths.clone());
    let mask = FieldMask::compile(&paths).unwrap();
    let capacity = usize::try_from(fixture.ring.capacity().flows()).unwrap();
    let held = fixture.flows.len().saturating_sub(capacity)..fixture.flows.len();
    let bound = |time: &Option<prost_types::Timestamp>, or| {
        time.map_or(or, |time| time.seconds * 1_000_000_000 + i64::from(time.nanos))
    };
    let (since, until) = (bound(&request.since, i64::MIN), bound(&request.until, i64::MAX));
    let mut found: Vec<_> = held
        .filter(|index| (since..=until).contains(&fixture.flows[*index].time_ns))
        .map(|index| fixture.message(index))
        .filter(|message| filters.matches(message))
        .map(|message| to_response(mask.apply(message)))
        .collect();
    let number = usize::try_from(request.number).unwrap_or(usize::MAX);
    if number != 0 && request.first {
        found.truncate(number);
    } else if number != 0 {
        found.drain(..found.len().saturating_sub(number));
    }
    found
}

fn filter() -> impl Strategy<Value = FlowFilter> {
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let all = FlowFilter::default;
    prop::sample::select(vec![
        all(),
        FlowFilter { source_pod: strings(&["np-demo/web-1"]), ..all() },
        FlowFilter { destination_pod: strings(&["np-demo/", "default/web-4"]), ..all() },
        FlowFilter { source_ip: strings(&["10.0.0.0/25"]), ..all() },
        FlowFilter { destination_label: strings(&["app=web-2"]), ..all() },
        FlowFilter { source_identity: vec![2, 304], ..all() },
        FlowFilter { verdict: vec![Verdict::Dropped.into()], ..all() },
        FlowFilter {
            event_type: vec![EventTypeFilter { r#type: 4, match_sub_type: true, sub_type: 3 }],
            ..all()
        },
        FlowFilter { destination_port: strings(&["53", "8080"]), ..all() },
        FlowFilter { reply: vec![false], ..all() },
        FlowFilter { traffic_direction: vec![1], ..all() },
        FlowFilter { drop_reason_desc: vec![133], ..all() },
        FlowFilter { destination_service: strings(&["np-demo/web"]), ..all() },
        FlowFilter {
            source_workload: vec![palomar_proto::flow::Workload { name: "web".into(), kind: String::new() }],
            ..all()
        },
        FlowFilter { protocol: strings(&["icmp"]), ..all() },
        FlowFilter { ip_version: vec![2], ..all() },
        FlowFilter {
            interface: vec![palomar_proto::flow::NetworkInterface { index: 2, name: String::new() }],
            ..all()
        },
        FlowFilter { node_name: strings(&["node-2"]), ..all() },
        FlowFilter { node_labels: strings(&["zone=a"]), ..all() },
    ])
}

fn mask() -> impl Strategy<Value = Option<Mask>> {
    let mask = |paths: &[&str]| Some(Mask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    prop::sample::select(vec![
        None,
        mask(&[]),
        mask(&STOCK_DEFAULT),
        mask(&["uuid", "source.pod_name", "l4.TCP"]),
        mask(&["time.seconds", "destination"]),
        mask(&["node_name", "node_labels", "emitter.name"]),
    ])
}

fn request() -> impl Strategy<Value = GetFlowsRequest> {
    let time = || prop::option::weighted(0.3, -200_i64..3_000);
    let number = prop_oneof![Just(0), 1_u64..50, Just(600), Just(u64::MAX)];
    let lists = (prop::collection::vec(filter(), 0..3), prop::collection::vec(filter(), 0..2));
    (number, any::<bool>(), time(), time(), lists, mask()).prop_map(
        |(number, first, since, until, (whitelist, blacklist), field_mask)| GetFlowsRequest {
            number,
            first,
            since: since.map(timestamp),
            until: until.map(timestamp),
            whitelist,
            blacklist,
            field_mask,
            ..GetFlowsRequest::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 3 / 8))]

    #[test]
    fn an_answer_is_what_a_look_at_every_flow_finds(
        requests in prop::collection::vec(request(), 1..6),
        // how many flows, how far the clock moves with each, and where it is set to half-way
        count in 0_u64..2_500,
        tick in -2_i64..4,
        reset in prop::option::of(-100_i64..2_000),
        seed in 0_u64..1_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut fixture = fixture(1_023);
        fixture.says_more = true;
        let mut clock = 0;
        for n in 0..count {
            clock = match reset {
                Some(time_ns) if n == count / 2 => time_ns,
                _ => clock + tick,
            };
            fixture.write(seed + n * 7, clock);
        }
        for request in requests {
            let answer = runtime.block_on(fixture.ask(request.clone())).unwrap();
            prop_assert_eq!(answer, expected(&fixture, &request), "{:?}", request);
        }
    }
}

#[tokio::test]
async fn a_uuid_leads_to_its_flow_alone() {
    let mut fixture = fixture(255);
    for n in 0..300 {
        fixture.write(n, i64::try_from(n).unwrap());
    }
    for (flow, found) in [(50, 1), (44, 0), (299, 1)] {
        let uuid = vec![format_uuid(fixture.flows[flow].uuid)];
        let whitelist = vec![FlowFilter { uuid, ..FlowFilter::default() }];
        let answer = fixture.ask(GetFlowsRequest { whitelist, ..GetFlowsRequest::default() }).await.unwrap();
        assert_eq!(answer.len(), found, "flow {flow}");
    }
}
