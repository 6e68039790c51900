//! Why a flow was judged as it was: `policy explain --uuid` and `observe --why`, from what an agent tells.

use std::fs;
use std::sync::{Arc, Mutex};

use palomar_manifest::{ManifestObject, parse};
use palomar_proto::flow::*;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::palomar::v1 as own;
use prost_types::Timestamp;
use serde_json::Value;

use crate::server::{Agent, Stub};
use crate::support::{Outcome, fixture_path, palomar};

const BEGIN: i64 = 1_772_600_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds: BEGIN + seconds, nanos: 0 }
}

/// The objects of the fixture, in force since second 10; `changed` since second 60 only. The agent has told of all
/// changes up to `as_of`.
pub fn objects(changed: &str, removed: Option<&str>, as_of: i64) -> Vec<own::ListObjectsResponse> {
    let files = ["demo.yaml", "policies.yaml", "services.yaml"].into_iter().flat_map(|file| {
        let text = fs::read_to_string(fixture_path("policy/manifests").join(file)).expect("the fixture");
        parse(file, &text).objects.into_iter().map(move |object| (file, object))
    });
    let object = |(file, object): (&str, ManifestObject)| own::ClusterObject {
        in_force_since: Some(at(if object.key.to_string() == changed { 60 } else { 10 })),
        json: object.source,
        file: file.to_owned(),
        line: object.line,
    };
    let removed = removed.map(|name| own::RemovedObject {
        kind: "NetworkPolicy".to_owned(),
        namespace: "np-demo".to_owned(),
        name: name.to_owned(),
        removed_at: Some(at(60)),
    });
    let part = own::ListObjectsResponse {
        objects: files.map(object).collect(),
        ..own::ListObjectsResponse::default()
    };
    let totals = own::ObjectTotals { objects: 12, known_since: Some(at(10)), as_of: Some(at(as_of)) };
    let last = own::ListObjectsResponse {
        objects: Vec::new(),
        removed: removed.into_iter().collect(),
        totals: Some(totals),
        node: Some(own::OwnNode {
            name: "n1".to_owned(),
            addresses: vec!["192.168.0.77".to_owned()],
            masquerades_all: false,
        }),
    };
    vec![part, last]
}

fn pod(name: &str) -> Endpoint {
    Endpoint {
        identity: 1000,
        namespace: "np-demo".to_owned(),
        pod_name: name.to_owned(),
        ..Endpoint::default()
    }
}

/// A verdict at web-1's ingress: a SYN at second `second`.
fn verdict(from: (&str, &str), verdict: Verdict, second: i64) -> Flow {
    let flags = Some(TcpFlags { syn: true, ..TcpFlags::default() });
    let tcp = Tcp { source_port: 4000, destination_port: 8080, flags };
    Flow {
        time: Some(at(second)),
        uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
        ip: Some(Ip {
            source: from.1.to_owned(),
            destination: "10.1.0.1".to_owned(),
            ip_version: IpVersion::IPv4.into(),
            ..Ip::default()
        }),
        l4: Some(Layer4 { protocol: Some(layer4::Protocol::Tcp(tcp)) }),
        source: Some(pod(from.0)),
        destination: Some(pod("web-1")),
        verdict: verdict.into(),
        event_type: Some(CiliumEventType { r#type: 5, sub_type: 0 }),
        traffic_direction: TrafficDirection::Ingress.into(),
        node_name: "n1".to_owned(),
        ..Flow::default()
    }
}

const FRONTEND: (&str, &str) = ("frontend", "10.1.0.2");
const OTHER: (&str, &str) = ("other", "10.1.0.3");

fn stub(flows: &[Flow], answers: Vec<Vec<own::ListObjectsResponse>>) -> Stub {
    let response = |flow: &Flow| GetFlowsResponse {
        node_name: flow.node_name.clone(),
        time: flow.time,
        response_types: Some(ResponseTypes::Flow(flow.clone())),
    };
    let agent = Agent { objects: Arc::new(Mutex::new(answers)), ..Agent::default() };
    Stub { flows: Ok(flows.iter().map(response).collect()), agent: Some(agent), ..Stub::default() }
}

async fn run(stub: &Stub, words: &[&str]) -> Outcome {
    let address = stub.serve().to_string();
    let outcome = palomar(&[words, &["--server", &address]].concat()).run_async().await;
    let shown = |text: String| text.replace(&address, "SERVER");
    Outcome { code: outcome.code, out: shown(outcome.out), err: shown(outcome.err) }
}

const EXPLAIN: [&str; 4] = ["policy", "explain", "--uuid", "00000000-0000-4000-8000-000000000001"];

#[tokio::test]
async fn a_flow_is_explained_by_its_uuid_from_what_the_agent_tells() {
    let stub = stub(&[verdict(OTHER, Verdict::Dropped, 50)], vec![objects("", None, 90)]);
    let outcome = run(&stub, &EXPLAIN).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let begin = "flow 00000000-0000-4000-8000-000000000001 at 2026-03-04T04:54:10Z, DROPPED\n\
                 np-demo/other -> np-demo/web-1, TCP 8080: denied\n";
    assert!(outcome.out.starts_with(begin), "{}", outcome.out);
    assert!(outcome.out.contains("isolated by np-demo/web (policies.yaml:1)\n"), "{}", outcome.out);
    let asked = stub.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.whitelist[0].uuid, ["00000000-0000-4000-8000-000000000001"]);

    let outcome = run(&stub, &[&EXPLAIN[..], &["-o", "json"]].concat()).await;
    let value: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!((&value["verdict"], &value["flow"]["verdict"]), (&"denied".into(), &"DROPPED".into()));
    assert_eq!(value["ingress"]["by"][0]["name"], "web");
    assert_eq!(value["disagreement"], Value::Null);
}

#[tokio::test]
async fn where_something_that_concerns_the_flow_has_changed_since_it_is_said_and_not_guessed() {
    let changed = "what was in force: NetworkPolicy np-demo/web has changed since, at 2026-03-04T04:54:20";
    let removed = "what was in force: NetworkPolicy np-demo/gone was removed since, at 2026-03-04T04:54:20";
    let before = "what was in force: the agent knows of changes since 2026-03-04T04:53:30";
    let table = [
        ("a policy has changed", "NetworkPolicy np-demo/web", None, 50, Some(changed)),
        ("and the flow is later", "NetworkPolicy np-demo/web", None, 70, None),
        ("a policy was removed", "", Some("gone"), 50, Some(removed)),
        ("another pod has changed", "Pod np-demo/batch", None, 50, None),
        ("the flow is older than all that is known", "", None, 5, Some(before)),
    ];
    for (what, changed, removed, second, expected) in table {
        let stub = stub(&[verdict(OTHER, Verdict::Dropped, second)], vec![objects(changed, removed, 90)]);
        let outcome = run(&stub, &EXPLAIN).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{what}");
        match expected {
            Some(fact) => {
                assert!(outcome.out.contains(&format!("\ncannot know: {fact}")), "{what}: {}", outcome.out);
            }
            None => assert!(outcome.out.contains("TCP 8080: denied\n"), "{what}: {}", outcome.out),
        }
    }
}

/// A SYN for web-1 that somebody else in the kernel dropped, or that did not arrive.
fn lost(from: (&str, &str), summary: &str) -> Flow {
    let (kind, verdict) =
        if summary.contains("kernel") { (1, Verdict::Dropped) } else { (4, Verdict::Forwarded) };
    Flow {
        event_type: Some(CiliumEventType { r#type: kind, sub_type: 0 }),
        traffic_direction: TrafficDirection::Egress.into(),
        drop_reason_desc: DropReason::PolicyDeny.into(),
        summary: summary.to_owned(),
        ..self::verdict(from, verdict, 50)
    }
}

const BY_RULE: &str = "TCP Flags: SYN; kernel: NETFILTER_DROP at nft_do_chain [nf_tables]";
const BY_SOCKET: &str = "TCP Flags: SYN; kernel: NO_SOCKET at tcp_v4_rcv";
const VANISHED: &str = "TCP Flags: SYN; not delivered";

#[tokio::test]
async fn what_was_seen_to_become_of_a_packet_stands_beside_what_policy_says() {
    let looks = "policy denies it as well: this looks like another's enforcement of np-demo/web";
    let table = [
        (
            "a rule, denied",
            OTHER,
            BY_RULE,
            "the kernel dropped it: NETFILTER_DROP at nft_do_chain [nf_tables]",
            looks,
        ),
        (
            "a rule, allowed",
            FRONTEND,
            BY_RULE,
            "the kernel dropped it: NETFILTER_DROP at nft_do_chain [nf_tables]",
            "policy allows it: whoever lost it does not act by these policies",
        ),
        (
            "no socket, denied",
            OTHER,
            BY_SOCKET,
            "the kernel dropped it: NO_SOCKET at tcp_v4_rcv",
            "policy denies it as well, but that is not why it was lost",
        ),
        (
            "no socket, allowed",
            FRONTEND,
            BY_SOCKET,
            "the kernel dropped it: NO_SOCKET at tcp_v4_rcv",
            "policy allows it: it was lost for another reason",
        ),
        (
            "not delivered, denied",
            OTHER,
            VANISHED,
            "it was not delivered, and nobody is known to have dropped it",
            looks,
        ),
    ];
    for (what, from, summary, evidence, comparison) in table {
        let stub = stub(&[lost(from, summary)], vec![objects("", None, 90)]);
        let outcome = run(&stub, &EXPLAIN).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{what}");
        let both = format!("\n{evidence}\n{comparison}\nnp-demo/{} -> np-demo/web-1, TCP 8080: ", from.0);
        assert!(outcome.out.contains(&both), "{what}: {}", outcome.out);
        let outcome = run(&stub, &["observe", "--why"]).await;
        let why = outcome.out.lines().find_map(|line| line.strip_prefix("    why: ")).unwrap();
        assert!(why.starts_with(&format!("{evidence}; egress allowed, ")), "{what}: {why}");
        assert!(why.ends_with(&format!("; {comparison}")), "{what}: {why}");
    }
}

#[tokio::test]
async fn a_flow_to_a_port_of_a_node_hangs_on_the_service_that_it_leads_to() {
    let flow = verdict(FRONTEND, Verdict::Forwarded, 50);
    let ip = flow.ip.clone().map(|ip| Ip { destination: "192.168.0.1".to_owned(), ..ip });
    let flags = Some(TcpFlags { syn: true, ..TcpFlags::default() });
    let tcp = Tcp { source_port: 4000, destination_port: 30_080, flags };
    let l4 = Some(Layer4 { protocol: Some(layer4::Protocol::Tcp(tcp)) });
    let destination = Some(Endpoint { identity: 1, ..Endpoint::default() });
    let flow = Flow { ip, l4, destination, ..flow };
    for (changed, expected) in [
        ("", "the source address that pods behind service np-demo/open see"),
        ("Service np-demo/open", "what was in force: Service np-demo/open has changed since"),
        ("Service np-demo/api", "the source address that pods behind service np-demo/open see"),
    ] {
        let stub = stub(std::slice::from_ref(&flow), vec![objects(changed, None, 90)]);
        let outcome = run(&stub, &EXPLAIN).await;
        assert!(outcome.out.contains(expected), "{changed}: {}{}", outcome.out, outcome.err);
    }
}

#[tokio::test]
async fn evidence_stands_alone_where_policy_cannot_be_asked() {
    let changed = objects("NetworkPolicy np-demo/web", None, 90);
    let answer = Flow {
        is_reply: Some(true),
        l4: Some(Layer4 {
            protocol: Some(layer4::Protocol::Udp(Udp { source_port: 53, destination_port: 4000 })),
        }),
        summary: "UDP; kernel: NETFILTER_DROP".to_owned(),
        ..lost(OTHER, BY_RULE)
    };
    let table = [
        ("policies have changed", lost(OTHER, BY_RULE), changed.clone(), "cannot know: what was in force: "),
        ("an answer", answer, objects("", None, 90), "goes with its connection: "),
    ];
    for (what, flow, objects, expected) in table {
        let stub = stub(&[flow], vec![objects]);
        let outcome = run(&stub, &EXPLAIN).await;
        let lines: Vec<&str> = outcome.out.lines().skip(1).collect();
        assert!(lines[0].starts_with("the kernel dropped it: NETFILTER_DROP"), "{what}: {lines:?}");
        assert!(lines[1].starts_with(expected), "{what}: {lines:?}");
        let outcome = run(&stub, &["observe", "--why"]).await;
        let why = outcome.out.lines().find_map(|line| line.strip_prefix("    why: ")).unwrap();
        assert!(why.starts_with("the kernel dropped it: NETFILTER_DROP"), "{what}: {why}");
        assert!(why.contains(&format!("; {expected}")), "{what}: {why}");
    }
}

#[tokio::test]
async fn evidence_and_comparison_are_parts_of_the_answer_in_json() {
    let asked = async |flow: Flow| {
        let stub = stub(&[flow], vec![objects("", None, 90)]);
        let outcome = run(&stub, &[&EXPLAIN[..], &["-o", "json"]].concat()).await;
        serde_json::from_str::<Value>(&outcome.out).unwrap()
    };
    let value = asked(lost(OTHER, BY_RULE)).await;
    assert_eq!(
        value["evidence"],
        serde_json::json!({
            "fate": "dropped by the kernel", "reason": "NETFILTER_DROP", "place": "nft_do_chain [nf_tables]",
        })
    );
    assert_eq!(value["comparison"]["policy_agrees"], true);
    assert_eq!(
        value["comparison"]["enforced_by_another"],
        serde_json::json!([
            { "direction": "ingress", "kind": "NetworkPolicy", "namespace": "np-demo", "name": "web" },
        ])
    );
    let value = asked(lost(FRONTEND, VANISHED)).await;
    assert_eq!(value["evidence"], serde_json::json!({ "fate": "not delivered" }));
    assert_eq!(value["comparison"]["policy_agrees"], false);
    assert_eq!(value["comparison"]["enforced_by_another"], serde_json::json!([]));
    let value = asked(verdict(OTHER, Verdict::Dropped, 50)).await;
    assert_eq!((&value["evidence"], &value["comparison"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn each_line_of_observe_is_followed_by_the_deciding_rules_or_the_missing_fact() {
    let reply = Flow { is_reply: Some(true), l4: None, ..verdict(OTHER, Verdict::Forwarded, 52) };
    let udp =
        Layer4 { protocol: Some(layer4::Protocol::Udp(Udp { source_port: 53, destination_port: 4000 })) };
    let flows = [
        verdict(FRONTEND, Verdict::Forwarded, 50),
        verdict(OTHER, Verdict::Dropped, 51),
        Flow { l4: Some(udp), ..reply },
        verdict(("gone", "10.1.0.99"), Verdict::Dropped, 53),
        verdict(OTHER, Verdict::Forwarded, 54),
    ];
    let stub = stub(&flows, vec![objects("", None, 90)]);
    let outcome = run(&stub, &["observe", "--why"]).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let whys: Vec<&str> = outcome.out.lines().filter_map(|line| line.strip_prefix("    why: ")).collect();
    let denied = "ingress denied, isolated by np-demo/web (policies.yaml:1) and allowed by no rule";
    assert_eq!(
        whys,
        [
            "egress allowed, no policy isolates it; ingress allowed by np-demo/web ingress[0] (policies.yaml:1)",
            &format!("egress allowed, no policy isolates it; {denied}"),
            "goes with its connection: it is let through where that is",
            "cannot know: pod np-demo/gone: the manifests have none of that name",
            &format!(
                "egress allowed, no policy isolates it; {denied}; but the flow was recorded as allowed at ingress"
            ),
        ],
        "{}",
        outcome.out
    );
    assert_eq!(outcome.out.lines().count(), 2 * flows.len());
    // what is judged has to be asked for as well as what is printed
    assert_eq!(stub.asked.lock().unwrap()[0].field_mask, None);
}

#[tokio::test]
async fn a_flow_that_is_later_than_what_the_agent_told_waits_for_the_agent_to_tell_again() {
    let flows = [verdict(OTHER, Verdict::Dropped, 50), verdict(OTHER, Verdict::Dropped, 70)];
    let later = vec![objects("", None, 55), objects("NetworkPolicy np-demo/web", None, 90)];
    let stub = stub(&flows, later);
    let outcome = run(&stub, &["observe", "--why"]).await;
    assert_eq!(outcome.out.matches("isolated by np-demo/web").count(), 2, "{}{}", outcome.out, outcome.err);
    // and not for ever
    let stub = self::stub(&flows[1..], vec![objects("", None, 55)]);
    let outcome = run(&stub, &["observe", "--why"]).await;
    assert!(
        outcome.out.contains("cannot know: what is in force: the agent told of changes until"),
        "{}",
        outcome.out
    );
}

#[tokio::test]
async fn policies_of_an_agent_stand_in_for_manifests_in_explain_and_simulate() {
    let stub = stub(&[verdict(FRONTEND, Verdict::Forwarded, 50)], vec![objects("", None, 90)]);
    let ends = ["--from", "np-demo/other", "--to", "np-demo/web-1", "--port", "8080"];
    let outcome = run(&stub, &[&["policy", "explain"], &ends[..]].concat()).await;
    assert!(outcome.out.starts_with("np-demo/other -> np-demo/web-1, TCP 8080: denied\n"), "{}", outcome.err);
    // no object tells of that address, the agent does
    let ends = ["--from", "192.168.0.77", "--to", "np-demo/web-1", "--port", "8080"];
    let outcome = run(&stub, &[&["policy", "explain"], &ends[..]].concat()).await;
    assert!(
        outcome.out.contains("a node may always connect to its own pods"),
        "{}{}",
        outcome.out,
        outcome.err
    );
    let outcome = run(&stub, &["policy", "simulate", "--delete", "netpol/np-demo/web"]).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    assert!(outcome.out.contains("Unchanged: 1 flow allowed, 0 denied\n"), "{}", outcome.out);
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_with_the_choices() {
    let agent = stub(&[], vec![objects("", None, 90)]);
    let stock = Stub { agent: None, ..agent.clone() };
    let cut = stub(&[verdict(OTHER, Verdict::Dropped, 50)], vec![objects("", None, 90)[..1].to_vec()]);
    let table: [(&Stub, Vec<&str>, &str); 7] = [
        (&agent, EXPLAIN.to_vec(), "the server at SERVER remembers no flow of UUID 00000000-"),
        (&agent, [&EXPLAIN[..], &["--from", "a"]].concat(), "--from and --uuid cannot be given together"),
        (&agent, vec!["observe", "--why", "-o", "json"], "choose an --output from: compact, dict"),
        (&agent, vec!["observe", "--why", "-o", "table"], "choose an --output from: compact, dict"),
        (&agent, vec!["observe", "--why", "--input-file", "-"], "cannot use --why and --input-file together"),
        (
            &stock,
            vec!["policy", "simulate", "--delete", "netpol/a/b"],
            "--manifests; without it an agent is asked: the server at SERVER is no Palomar agent",
        ),
        (&cut, EXPLAIN.to_vec(), "the agent's answer ended before its end"),
    ];
    for (stub, words, expected) in table {
        let outcome = run(stub, &words).await;
        assert_eq!(outcome.code, 1, "{words:?}: {}", outcome.out);
        assert!(outcome.err.contains(expected), "{words:?}: {}", outcome.err);
    }
}
