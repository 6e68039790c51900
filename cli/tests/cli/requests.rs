//! What a server is asked: the requests that Hubble's CLI sends for the same command lines.

use crate::differences::Differences;
use crate::server::{Stub, flow_response};
use crate::support::{fixture, palomar, words};
use palomar_cli::observe::default_mask;
use palomar_flow::mask::STOCK_DEFAULT;
use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::{GetFlowsRequest, ServerStatusResponse};
use prost_types::Timestamp;

/// The request as the recorder wrote it: fields in the order of their declaration, those that are empty left out.
fn text(request: &GetFlowsRequest) -> String {
    let GetFlowsRequest { number, first, follow, blacklist, whitelist, since, until, field_mask, .. } =
        request;
    let mut parts = Vec::new();
    if *number > 0 {
        parts.push(format!("number:{number}"));
    }
    parts.extend(first.then(|| "first:true".to_owned()));
    parts.extend(follow.then(|| "follow:true".to_owned()));
    parts.extend(blacklist.iter().map(|filter| format!("blacklist:{{{}}}", filter_text(filter))));
    parts.extend(whitelist.iter().map(|filter| format!("whitelist:{{{}}}", filter_text(filter))));
    parts.extend(since.as_ref().map(|time| format!("since:{{{}}}", time_text(time))));
    parts.extend(until.as_ref().map(|time| format!("until:{{{}}}", time_text(time))));
    parts.extend(field_mask.as_ref().map(|mask| mask_text(&mask.paths)));
    parts.join(" ")
}

/// The fields that the recorded filters have.
fn filter_text(filter: &FlowFilter) -> String {
    let fields = [
        ("source_pod", &filter.source_pod),
        ("source_label", &filter.source_label),
        ("destination_pod", &filter.destination_pod),
        ("destination_label", &filter.destination_label),
    ];
    let texts =
        fields.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("{name}:{value:?}")));
    texts.collect::<Vec<_>>().join(" ")
}

fn time_text(time: &Timestamp) -> String {
    match time.nanos {
        0 => format!("seconds:{}", time.seconds),
        nanos => format!("seconds:{} nanos:{nanos}", time.seconds),
    }
}

fn mask_text<S: AsRef<str>>(paths: &[S]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("paths:{:?}", path.as_ref())).collect();
    format!("field_mask:{{{}}}", paths.join(" "))
}

/// Times before now differ with the moment of the run.
fn without_relative_time(line: &str, text: &str) -> String {
    match (line.contains("--since 5m"), text.split_once("since:{")) {
        (true, Some((before, after))) => format!("{before}since:{{…{}", &after[after.find('}').unwrap()..]),
        _ => text.to_owned(),
    }
}

#[tokio::test]
async fn every_recorded_command_line_sends_the_same_request() {
    let stub = Stub {
        status: ServerStatusResponse { version: "Palomar 0.1.0".to_owned(), ..Default::default() },
        ..Stub::default()
    };
    let address = stub.serve().to_string();
    let differences = Differences::of("requests.txt");
    let mut rows = 0;
    for row in fixture("requests.txt").split("### hubble ").skip(1) {
        let (line, result) = row.split_once('\n').unwrap();
        let line = line.replace("127.0.0.1:14245", &address);
        let wanted = result.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let outcome = palomar(&words(&line)).run_async().await;
        rows += 1;
        match wanted.strip_prefix("GetFlows ") {
            Some(wanted) => {
                let wanted = differences.ruled("the default field mask", wanted, |wanted| {
                    wanted.replace(&mask_text(&STOCK_DEFAULT), &mask_text(&default_mask().paths))
                });
                let asked =
                    stub.asked.lock().unwrap().pop().unwrap_or_else(|| panic!("{line}: {}", outcome.err));
                let asked = without_relative_time(&line, &text(&asked));
                assert_eq!(asked, without_relative_time(&line, &wanted), "{line}");
            }
            None => assert_eq!(stub.calls.lock().unwrap().pop(), Some(wanted.as_str()), "{line}"),
        }
    }
    assert_eq!(rows, 17);
    differences.end();
}

#[tokio::test]
async fn times_before_now_are_reckoned_from_now() {
    let stub = Stub::default();
    let address = stub.serve().to_string();
    palomar(&["observe", "--server", &address, "--since", "5m", "--until", "-1s"]).run_async().await;
    let asked = stub.asked.lock().unwrap().pop().unwrap();
    let now = crate::support::now().timestamp();
    assert_eq!(asked.since, Some(Timestamp { seconds: now - 300, nanos: 0 }));
    assert_eq!(asked.until, Some(Timestamp { seconds: now + 1, nanos: 0 }));
}

#[tokio::test]
async fn the_last_flows_since_a_time_are_the_last_from_either_kind_of_server() {
    let flows: Vec<_> = ["one", "two", "three", "four"].map(flow_response).to_vec();
    for (version, flows, number) in [
        ("cilium v1.19.4", flows.clone(), 0),
        // ours gives the last ones by itself
        ("Palomar 0.1.0, Hubble 1.19.4", flows[2..].to_vec(), 2),
    ] {
        let status = ServerStatusResponse { version: version.to_owned(), ..Default::default() };
        let stub = Stub { status, flows: Ok(flows), ..Stub::default() };
        let address = stub.serve().to_string();
        let line = ["observe", "--server", &address, "--since", "5m", "--last", "2", "-o", "json"];
        let outcome = palomar(&line).run_async().await;
        assert_eq!(stub.asked.lock().unwrap()[0].number, number, "{version}");
        let summaries: Vec<&str> = outcome.out.lines().map(|line| line.split('"').nth(5).unwrap()).collect();
        assert_eq!(summaries, ["three", "four"], "{version}");
    }
}
