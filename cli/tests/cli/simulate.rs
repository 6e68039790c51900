//! `palomar policy simulate`: recorded flows under changed policies.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use palomar_flow::json;
use palomar_proto::flow::*;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use serde_json::Value;

use crate::server::Stub;
use crate::support::{Outcome, fixture_path, palomar};

/// Backends instead of frontends may connect to the web.
pub const CHANGED: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: \
                       np-demo}\nspec:\n  podSelector: {matchLabels: {app: web}}\n  ingress:\n  - from: [{podSelector: \
                       {matchLabels: {role: backend}}}]\n    ports: [{port: 8080}]\n";

pub const FRONTEND: (&str, &str) = ("np-demo/frontend", "10.1.0.2");
pub const OTHER: (&str, &str) = ("np-demo/other", "10.1.0.3");
pub const WEB: (&str, &str) = ("np-demo/web-1", "10.1.0.1");
const WORLD: u32 = 2;

/// A pod by its name, or nobody's by the number of its identity.
fn end(name: &str) -> Endpoint {
    match name.split_once('/') {
        Some((namespace, pod)) => Endpoint {
            identity: 1000,
            namespace: namespace.to_owned(),
            pod_name: pod.to_owned(),
            ..Endpoint::default()
        },
        None => Endpoint { identity: name.parse().expect("a number"), ..Endpoint::default() },
    }
}

pub fn l4(client: u32, port: u32, syn: bool, ack: bool) -> Layer4 {
    let flags = Some(TcpFlags { syn, ack, ..TcpFlags::default() });
    Layer4 {
        protocol: Some(layer4::Protocol::Tcp(Tcp { source_port: client, destination_port: port, flags })),
    }
}

/// A SYN that passed.
pub fn syn(from: (&str, &str), to: (&str, &str), client: u32, port: u32) -> Flow {
    Flow {
        ip: Some(Ip {
            source: from.1.to_owned(),
            destination: to.1.to_owned(),
            ip_version: IpVersion::IPv4.into(),
            ..Ip::default()
        }),
        l4: Some(l4(client, port, true, false)),
        source: Some(end(from.0)),
        destination: Some(end(to.0)),
        verdict: Verdict::Forwarded.into(),
        event_type: Some(CiliumEventType { r#type: 4, sub_type: 0 }),
        is_reply: Some(false),
        ..Flow::default()
    }
}

fn response(flow: &Flow) -> GetFlowsResponse {
    GetFlowsResponse {
        response_types: Some(ResponseTypes::Flow(flow.clone())),
        ..GetFlowsResponse::default()
    }
}

pub fn lines(flows: &[Flow]) -> String {
    flows.iter().map(|flow| json::to_string(&response(flow)).expect("it prints") + "\n").collect()
}

pub struct Change {
    folder: tempfile::TempDir,
}

impl Change {
    pub fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("new.yaml"), policy).expect("a file");
        Self { folder }
    }

    pub fn words(&self, rest: &[&str]) -> Vec<String> {
        let new = self.folder.path().join("new.yaml").display().to_string();
        let manifests = fixture_path("policy/manifests").display().to_string();
        let words = ["policy", "simulate", "--manifests", &manifests, "-f", &new];
        words.iter().chain(rest).map(ToString::to_string).collect()
    }

    /// The directories left out of what it says.
    pub fn shown(&self, outcome: Outcome) -> Outcome {
        let manifests = fixture_path("policy").display().to_string();
        let new = self.folder.path().display().to_string();
        let shown = |text: String| text.replace(&manifests, "FIXTURES").replace(&new, "NEW");
        Outcome { code: outcome.code, out: shown(outcome.out), err: shown(outcome.err) }
    }

    pub fn run(&self, flows: &str, rest: &[&str]) -> Outcome {
        let words = self.words(&[&["--input-file", "-"], rest].concat());
        self.shown(palomar(&words).input(flows).run())
    }

    fn json(&self, flows: &[Flow]) -> Value {
        let outcome = self.run(&lines(flows), &["-o", "json"]);
        serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("{}{}", outcome.out, outcome.err))
    }
}

/// Two connections that would be denied, one of them seen twice; one that would be allowed; one that stays.
pub fn flows() -> Vec<Flow> {
    let later = Flow { l4: Some(l4(4000, 8080, false, true)), ..syn(FRONTEND, WEB, 4000, 8080) };
    vec![
        syn(FRONTEND, WEB, 4000, 8080),
        syn(FRONTEND, WEB, 4001, 8080),
        later,
        syn(OTHER, WEB, 4000, 8080),
        syn(WEB, OTHER, 4000, 9),
        syn(OTHER, WEB, 4000, 9),
    ]
}

const REPORT: &str = "\
Would be denied: 3 flows
  np-demo/frontend -> np-demo/web-1, TCP 8080: 3 flows (2 connections)
    ingress now:  allowed by np-demo/web ingress[0] (FIXTURES/manifests/policies.yaml:1)
    ingress then: denied, isolated by np-demo/web (NEW/new.yaml:1) and allowed by no rule
Would be allowed: 1 flow
  np-demo/other -> np-demo/web-1, TCP 8080: 1 flow (1 connection)
    ingress now:  denied, isolated by np-demo/web (FIXTURES/manifests/policies.yaml:1) and allowed by no rule
    ingress then: allowed by np-demo/web ingress[0] (NEW/new.yaml:1)
Unchanged: 1 flow allowed, 1 denied
Cannot know: 0 flows
";

#[test]
fn where_no_flow_is_judged_it_is_said_that_this_shows_nothing() {
    let change = Change::new(CHANGED);
    for (what, flows, rest, is_said) in [
        ("nothing at all", lines(&[]), vec![], true),
        ("nothing that the filters let through", lines(&flows()), vec!["--to-pod", "np-demo/nobody"], true),
        ("flows", lines(&flows()), vec![], false),
    ] {
        let outcome = change.run(&flows, &rest);
        assert_eq!(outcome.err.contains("no flow was judged"), is_said, "{what}: {}", outcome.err);
    }
}

#[test]
fn flows_that_change_are_told_by_ends_and_port_with_counts_and_the_rules_that_decide() {
    let outcome = Change::new(CHANGED).run(&lines(&flows()), &[]);
    assert_eq!(outcome.out, REPORT, "{}", outcome.err);
    assert_eq!((outcome.code, outcome.err.as_str()), (3, "3 flows allowed now would be denied\n"));
}

#[test]
fn the_exit_code_is_3_only_where_something_allowed_would_be_denied() {
    let change = Change::new(CHANGED);
    let table: [(&str, &[Flow], u8); 4] = [
        ("an allowed flow would be denied", &[syn(FRONTEND, WEB, 1, 8080)], 3),
        ("a denied flow would be allowed", &[syn(OTHER, WEB, 1, 8080)], 0),
        ("nothing is known of the source", &[syn(("np-demo/gone", "10.1.0.77"), WEB, 1, 8080)], 0),
        ("there are no flows", &[], 0),
    ];
    for (what, flows, code) in table {
        let outcome = change.run(&lines(flows), &[]);
        assert_eq!(outcome.code, code, "{what}: {}{}", outcome.out, outcome.err);
    }
}

/// Whoever it is has had its egress judged before; what comes to the pod is the node's address, and nobody's labels.
#[test]
fn a_client_that_a_node_hides_is_judged_by_the_nodes_address_alone() {
    let hidden = syn((&WORLD.to_string(), "192.168.0.1"), WEB, 1, 8080);
    let by_block = |cidr: &str| {
        CHANGED.replace("podSelector: {matchLabels: {role: backend}}", &format!("ipBlock: {{cidr: {cidr}}}"))
    };
    for (what, policy, allowed) in [
        ("a block with the node", by_block("192.168.0.0/24"), 1),
        ("a block without it", by_block("192.168.1.0/24"), 0),
        ("labels of anybody", CHANGED.replace("{matchLabels: {role: backend}}", "{}"), 0),
    ] {
        let outcome = Change::new(&policy).run(&lines(std::slice::from_ref(&hidden)), &[]);
        let expected = format!("Would be allowed: {allowed} flow");
        assert!(outcome.out.contains(&expected), "{what}: {}{}", outcome.out, outcome.err);
        assert!(outcome.out.contains("Cannot know: 0 flows"), "{what}: {}{}", outcome.out, outcome.err);
    }
}

#[test]
fn what_cannot_be_judged_is_counted_with_the_fact_that_is_missing() {
    let change = Change::new(CHANGED);
    let world = WORLD.to_string();
    let back =
        Flow { is_reply: Some(true), l4: Some(l4(8080, 4000, false, true)), ..syn(WEB, FRONTEND, 1, 2) };
    let middle = Flow { is_reply: None, l4: Some(l4(8080, 4000, false, true)), ..syn(FRONTEND, WEB, 1, 2) };
    let table = [
        (
            "a pod that no manifest has",
            syn(("np-demo/gone", "10.1.0.77"), WEB, 1, 8080),
            "pod np-demo/gone: the manifests have none of that name",
        ),
        (
            "a pod that has another address now",
            syn(("np-demo/other", "10.1.0.77"), WEB, 1, 8080),
            "whether pod np-demo/other is still the same: it had 10.1.0.77, and the manifests say 10.1.0.3",
        ),
        (
            "an address that is a pod's now, and was not told to be one's",
            syn((&world, "10.1.0.3"), WEB, 1, 8080),
            "who had 10.1.0.3: the flow names no pod, and the manifests say pod np-demo/other",
        ),
        (
            "a node's address that may hide a server",
            syn(FRONTEND, (&world, "192.168.0.1"), 1, 8080),
            "who is behind 192.168.0.1: that is a node's address, and it may hide another end",
        ),
        (
            "a node that no manifest has",
            syn(("6", "192.168.0.9"), WEB, 1, 8080),
            "the node that has 192.168.0.9: the manifests have none",
        ),
        (
            "a connection found in its middle",
            middle,
            "which end began the connection: the flow does not tell",
        ),
    ];
    for (what, flow, fact) in table {
        let report = change.json(&[flow]);
        assert_eq!(report["cannot_know"]["facts"][0]["missing"], fact, "{what}");
        assert_eq!((&report["cannot_know"]["flows"], &report["would_be_denied"]), (&1.into(), &0.into()));
    }
    let report = change.json(&[back]);
    assert_eq!((&report["replies"], &report["cannot_know"]["flows"]), (&1.into(), &0.into()));
    // the world and a node by their own addresses are judged
    for from in [(world.as_str(), "198.51.100.7"), ("1", "192.168.0.1")] {
        assert_eq!(change.json(&[syn(from, WEB, 1, 8080)])["cannot_know"]["flows"], 0, "{from:?}");
    }
}

#[test]
fn a_recorded_verdict_that_the_policies_of_now_do_not_give_is_counted() {
    let verdict = |from, verdict: Verdict| Flow {
        event_type: Some(CiliumEventType { r#type: 5, sub_type: 0 }),
        traffic_direction: TrafficDirection::Ingress.into(),
        verdict: verdict.into(),
        ..syn(from, WEB, 1, 8080)
    };
    let table = [
        (FRONTEND, Verdict::Forwarded, 0),
        (FRONTEND, Verdict::Dropped, 1),
        (OTHER, Verdict::Forwarded, 1),
        (OTHER, Verdict::Audit, 0),
    ];
    for (from, recorded, expected) in table {
        let report = Change::new(CHANGED).json(&[verdict(from, recorded)]);
        assert_eq!(report["recorded_otherwise"], expected, "{from:?} {recorded:?}");
    }
}

#[test]
fn lines_written_otherwise_packed_files_and_a_server_give_the_same_report() {
    let change = Change::new(CHANGED);
    let lines = lines(&flows());
    let spaced = lines.replace("{\"flow\":", "{ \"flow\": ");
    assert_eq!(change.run(&spaced, &[]).out, REPORT);
    let spaced_otherwise = lines.replace("{\"flow\":", "{ \"flow\" : ");
    assert_eq!(change.run(&spaced_otherwise, &[]).out, REPORT);
    let bare: String = flows().iter().map(|flow| json::to_string(flow).unwrap() + "\n").collect();
    assert_eq!(change.run(&bare, &[]).out, REPORT);

    let (first, rest) = lines.split_at(lines.find('\n').unwrap() + 1);
    let packed = change.folder.path().join("flows.gz");
    let mut encoder = GzEncoder::new(fs::File::create(&packed).unwrap(), Compression::fast());
    encoder.write_all(first.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let packed: &Path = &packed;
    let file = packed.display().to_string();
    assert_eq!(change.run(rest, &["--input-file", &file]).out, REPORT);
}

#[tokio::test]
async fn without_files_the_flows_are_those_that_the_server_remembers() {
    let change = Change::new(CHANGED);
    let lost = GetFlowsResponse {
        response_types: Some(ResponseTypes::LostEvents(LostEvent {
            num_events_lost: 7,
            ..LostEvent::default()
        })),
        ..GetFlowsResponse::default()
    };
    let flows = flows().iter().map(response).chain([lost]).collect();
    let stub = Stub { flows: Ok(flows), ..Stub::default() };
    let address = stub.serve().to_string();
    let outcome = change.shown(palomar(&change.words(&["--server", &address])).run_async().await);
    let lost = "7 lost before they were recorded: what they would be, nobody can know\n";
    assert_eq!((outcome.code, outcome.out), (3, format!("{REPORT}{lost}")));
    assert_eq!(stub.asked.lock().unwrap()[0].number, u64::MAX);
}

#[test]
fn a_policy_that_is_taken_away_opens_what_it_closed() {
    let manifests = fixture_path("policy/manifests").display().to_string();
    let words = ["policy", "simulate", "--manifests", &manifests, "--input-file", "-", "-o", "json"];
    let delete = ["--delete", "NetworkPolicy/np-demo/web"];
    let outcome = palomar(&[&words[..], &delete].concat()).input(&lines(&flows())).run();
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["would_be_allowed"], 2);
    assert_eq!(report["changes"][0]["decided_by"][0]["after"]["isolated"], false);
}

#[test]
fn a_line_that_is_no_flow_is_told_and_ends_with_code_1_unless_something_would_be_denied() {
    let change = Change::new(CHANGED);
    for (flows, code) in [(vec![], 1), (flows(), 3)] {
        let outcome = change.run(&format!("{}[]\n\n{{\"x\":1}}\n", lines(&flows)), &[]);
        assert_eq!(outcome.code, code, "{}", outcome.err);
        assert!(outcome.out.contains("2 lines that could not be read\n"), "{}", outcome.out);
        assert!(outcome.err.starts_with(&format!("-, line {}: ", flows.len() + 1)), "{}", outcome.err);
    }
}

#[test]
fn what_is_missing_or_wrong_on_the_line_is_told_with_the_choices() {
    let manifests = fixture_path("policy/manifests").display().to_string();
    let demo = fixture_path("policy/manifests/demo.yaml").display().to_string();
    let policies = fixture_path("policy/manifests/policies.yaml").display().to_string();
    let with = ["--manifests", &manifests];
    let table: [(Vec<&str>, &str); 11] = [
        (vec!["-f", &policies], "where are the policies?"),
        (vec!["--manifests", "", "-f", &policies], "empty; name a directory or a file of Kubernetes YAML"),
        (
            [&with[..], &["-f", &policies, "--delete", ""]].concat(),
            "empty; choose from: networkpolicy/NAMESPACE",
        ),
        (
            [&with[..], &["--delete", "netpol/np-demo/web", "-f", ""]].concat(),
            "empty; choose from: a directory",
        ),
        (with.to_vec(), "what would change? name new policies with --file"),
        ([&with[..], &["-f", &demo]].concat(), "--file changes policies only, and holds 9 other objects"),
        ([&with[..], &["--delete", "np-demo/web"]].concat(), "choose from: networkpolicy/NAMESPACE/NAME"),
        (
            [&with[..], &["--delete", "netpol/np-demo/wob"]].concat(),
            "there is no such policy; that namespace has np-demo/batch, np-demo/db, np-demo/web",
        ),
        ([&with[..], &["--delete", "netpol/nobody/web"]].concat(), "namespace nobody has none"),
        (
            [&with[..], &["--delete", "netpol/np-demo/web", "-f", &policies]].concat(),
            "--file has that policy as well",
        ),
        ([&with[..], &["-f", &policies, "-o", "yaml"]].concat(), "choose from: text, json"),
    ];
    for (words, expected) in table {
        let outcome = palomar(&[&["policy", "simulate", "--input-file", "-"], &words[..]].concat()).run();
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{words:?}");
        assert!(outcome.err.contains(expected), "{words:?}: {}", outcome.err);
    }
}
