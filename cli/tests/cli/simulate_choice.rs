//! Which flows `palomar policy simulate` replays, and that it reads the same of them however they come.

use chrono::{DateTime, TimeDelta};
use palomar_flow::json;
use palomar_flow::mask::FieldMask;
use palomar_proto::flow::*;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost_types::Timestamp;
use serde_json::Value;

use crate::server::Stub;
use crate::simulate::{CHANGED, Change, FRONTEND, OTHER, WEB, flows, l4, syn};
use crate::support::{now, palomar};

/// Flows one minute after the other, the last one now.
fn recorded() -> Vec<GetFlowsResponse> {
    let mut flows = flows();
    flows[3].verdict = Verdict::Dropped.into();
    flows[4].source.as_mut().unwrap().labels = vec!["k8s:app=web".to_owned()];
    let count = i64::try_from(flows.len()).unwrap();
    let stamp = |time: DateTime<_>| Timestamp { seconds: time.timestamp(), nanos: 0 };
    (1..)
        .zip(flows)
        .map(|(at, flow)| GetFlowsResponse {
            time: Some(stamp(now() - TimeDelta::minutes(count - at))),
            response_types: Some(ResponseTypes::Flow(flow)),
            ..GetFlowsResponse::default()
        })
        .collect()
}

fn text(responses: &[GetFlowsResponse]) -> String {
    responses.iter().map(|response| json::to_string(response).unwrap() + "\n").collect()
}

const CHOICES: [&str; 14] = [
    "",
    "--last 2",
    "--last 2 --until 2m",
    "--since 3m",
    "--since 4m --until 1m",
    "--since 2020-01-01 --until 2020-01-02",
    "--from-pod np-demo/frontend",
    "--namespace np-demo --port 9",
    "--not --from-pod np-demo/frontend",
    "--verdict DROPPED",
    "--label app=web",
    "--to-ip 10.1.0.3 --last 1",
    "--allowlist {\"source_pod\":[\"np-demo/other\"]}",
    "--denylist {\"tcp_flags\":[{\"SYN\":true}]}",
];

#[test]
fn a_choice_of_recorded_flows_is_that_of_observe() {
    let change = Change::new(CHANGED);
    let all = text(&recorded());
    let mut sizes = Vec::new();
    for choice in CHOICES {
        let observe = [vec!["observe", "--input-file", "-", "-o", "jsonpb"], split(choice)];
        let chosen = palomar(&observe.concat()).input(&all).run();
        assert_eq!(chosen.code, 0, "{choice}: {}", chosen.err);
        sizes.push(chosen.out.lines().count());
        let expected = change.run(&chosen.out, &[]);
        let choice = split(choice);
        assert_eq!(change.run(&all, &choice), expected, "{choice:?}");
        // lines that have to be read
        assert_eq!(change.run(&all.replace("{\"flow\":", "{\"flow\" :"), &choice), expected, "{choice:?}");
        assert_eq!(change.run(&by_others(&all, 3), &choice), expected, "{choice:?}");
    }
    assert_eq!(sizes, [6, 2, 2, 4, 4, 0, 3, 2, 3, 1, 1, 1, 2, 1]);
}

#[test]
fn wrong_choices_are_told_as_observe_tells_them() {
    let change = Change::new(CHANGED);
    for choice in [
        "--last 1000001",
        "--last many",
        "--since yesterday",
        "--not",
        "--not --not --port 1",
        "--verdict GONE",
        "--pod a --from-pod b",
        "--port 70000",
        "--label (",
        "--allowlist {",
    ] {
        let choice = split(choice);
        let observe = palomar(&[&["observe", "--input-file", "-"], &choice[..]].concat()).run();
        let outcome = change.run("", &choice);
        assert_eq!((outcome.code, outcome.err.as_str()), (1, observe.err.as_str()), "{choice:?}");
        assert!(!observe.err.is_empty(), "{choice:?}");
    }
}

#[tokio::test]
async fn a_server_is_asked_for_the_choice_and_for_the_last_of_a_range_that_it_cannot_give() {
    let change = Change::new(CHANGED);
    let stub = Stub { flows: Ok(recorded()), ..Stub::default() };
    let address = stub.serve().to_string();
    let ask = async |choice: &str| {
        let words = change.words(&[&["--server", &address], &*split(choice)].concat());
        let outcome = change.shown(palomar(&words).run_async().await);
        (outcome, stub.asked.lock().unwrap().pop().unwrap())
    };
    let (_, asked) = ask("--namespace np-demo --not --port 9").await;
    assert_eq!((asked.number, asked.whitelist.len(), asked.blacklist.len()), (u64::MAX, 2, 2));
    let (_, asked) = ask("--last 2").await;
    assert_eq!((asked.number, asked.first, asked.since), (2, false, None));
    let (outcome, asked) = ask("--last 1 --since 1h").await;
    assert_eq!((asked.number, asked.since.is_some()), (0, true));
    // a runtime of its own within this one is none
    let last = tokio::task::spawn_blocking(|| Change::new(CHANGED).run(&text(&recorded()[5..]), &[]));
    assert_eq!(outcome, last.await.unwrap());
}

fn split(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

prop_compose! {
    /// Of few ends and ports, so that most questions come again, and of all that says who began a connection.
    fn any_flow()(
        from in 0..6_usize, to in prop_oneof![4 => Just(2), 1 => 0..6_usize], client in 0..3_u32, port in prop_oneof![6 => Just(8080), 1 => Just(9), 1 => 0..70_000_u32],
        protocol in 0..6, flags in any::<[bool; 2]>(), reply in any::<Option<bool>>(), kind in prop_oneof![Just(1), Just(4), Just(5)],
        direction in 0..3, verdict in 0..8, reason in prop_oneof![6 => Just(0), 1 => Just(132), 1 => Just(133)], related in prop::bool::weighted(0.1),
        with in prop::array::uniform3(prop::bool::weighted(0.8)), workload in any::<bool>(), identity in prop_oneof![8 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(1000))],
    ) -> Flow {
        const ENDS: [(&str, &str); 6] =
            [FRONTEND, OTHER, WEB, ("2", "198.51.100.7"), ("1", "192.168.0.1"), ("np-demo/gone", "10.1.0.77")];
        let plain = syn(ENDS[from], ENDS[to], client, port);
        let (source_port, destination_port) = (client, port);
        let protocol = match protocol {
            0 => layer4::Protocol::Udp(Udp { source_port, destination_port }),
            1 => layer4::Protocol::Sctp(Sctp { source_port, destination_port }),
            2 => layer4::Protocol::IcmPv4(IcmPv4 { r#type: 8, code: 0 }),
            3 => layer4::Protocol::Igmp(Igmp::default()),
            _ => l4(client, port, flags[0], flags[1]).protocol.unwrap(),
        };
        let mut source = plain.source.clone();
        if workload && let Some(source) = &mut source {
            source.workloads = vec![Workload { name: "front \"é\"".to_owned(), kind: "Deployment".to_owned() }];
        }
        if let Some((source, identity)) = source.as_mut().zip(identity) {
            source.identity = identity;
        }
        let mut destination = plain.destination.clone();
        if !workload && let Some(destination) = &mut destination {
            destination.workloads = vec![Workload { name: "back".to_owned(), kind: "Deployment".to_owned() }];
        }
        Flow {
            ip: plain.ip.clone().filter(|_| with[0] || with[1]),
            destination: destination.filter(|_| with[1] || with[2]),
            l4: Some(Layer4 { protocol: Some(protocol) }).filter(|_| with[1] || with[2]),
            source: source.filter(|_| with[0] || with[2]),
            event_type: Some(CiliumEventType { r#type: kind, sub_type: 3 }).filter(|_| with[0] || !with[1]),
            is_reply: reply,
            traffic_direction: direction,
            verdict,
            drop_reason_desc: reason,
            trace_reason: if related { TraceReason::Related.into() } else { 0 },
            node_name: "a/node".to_owned(),
            summary: "of no interest".to_owned(),
            ..plain
        }
    }
}

/// The mask that a server is asked for.
fn mask() -> Vec<String> {
    let stub = Stub::default();
    let asked = stub.asked.clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let address = stub.serve().to_string();
        palomar(&Change::new(CHANGED).words(&["--server", &address])).run_async().await
    });
    let request = asked.lock().unwrap().pop().unwrap();
    request.field_mask.unwrap().paths
}

fn response(flow: &Flow) -> GetFlowsResponse {
    let flow = ResponseTypes::Flow(flow.clone());
    GetFlowsResponse { response_types: Some(flow), ..GetFlowsResponse::default() }
}

fn masked(flows: &[Flow], paths: &[String]) -> String {
    let mask = FieldMask::compile(paths).unwrap();
    text(&flows.iter().map(|flow| response(&mask.apply(flow.clone()))).collect::<Vec<_>>())
}

/// The lines as another program writes them: with the fields in another order, and with blanks between them.
fn by_others(lines: &str, turned: usize) -> String {
    let other = |line: &str| {
        let value = in_other_order(serde_json::from_str(line).unwrap(), turned).to_string();
        value.replace("\":", "\": ") + "\n"
    };
    lines.lines().map(other).collect()
}

fn in_other_order(value: Value, turned: usize) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            let count = fields.len();
            if count > 0 {
                fields.rotate_left(turned % count);
            }
            if turned % 2 == 1 {
                fields.reverse();
            }
            fields.into_iter().map(|(name, value)| (name, in_other_order(value, turned))).collect()
        }
        Value::Array(items) => items.into_iter().map(|item| in_other_order(item, turned)).collect(),
        value => value,
    }
}

#[test]
fn a_glance_the_full_reader_and_the_fields_of_the_mask_give_the_same_report() {
    let change = Change::new(CHANGED);
    let mask = mask();
    let config = ProptestConfig::with_cases(ProptestConfig::default().cases / 4);
    proptest!(config, |(flows in prop::collection::vec(any_flow(), 1..60), turned in 0..9_usize)| {
        let lines = text(&flows.iter().map(response).collect::<Vec<_>>());
        let glanced = change.run(&lines, &["-o", "json"]);
        let read = change.run(&lines.replace("{\"flow\":", "{\"flow\" :"), &["-o", "json"]);
        prop_assert_eq!(&glanced, &read);
        prop_assert_eq!(&change.run(&by_others(&lines, turned), &["-o", "json"]), &read);
        prop_assert_eq!(&change.run(&masked(&flows, &mask), &["-o", "json"]), &read);
    });
}

#[test]
fn a_server_is_asked_for_no_field_that_could_be_left_out() {
    let change = Change::new(CHANGED);
    let mask = mask();
    let flows = prop::collection::vec(any_flow(), 400..401);
    let flows = flows.new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let whole = change.run(&masked(&flows, &mask), &["-o", "json"]);
    for left_out in &mask {
        let rest: Vec<String> = mask.iter().filter(|path| *path != left_out).cloned().collect();
        assert_ne!(change.run(&masked(&flows, &rest), &["-o", "json"]), whole, "{left_out}");
    }
}
