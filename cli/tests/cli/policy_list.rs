//! What an agent enforces for its endpoints, by rule.

use std::sync::{Arc, Mutex};

use palomar_proto::palomar::v1::{
    Endpoint, ListEndpointsResponse, PolicyHits, PolicyMode, RuleHits, VerdictCounts,
};
use serde_json::{Value, json};

use crate::server::{Agent, Stub};
use crate::support::{Outcome, palomar};
use crate::why::objects;

fn endpoint(pod: &str, ingress: &[&str], egress: &[&str]) -> Endpoint {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Endpoint {
        id: 7,
        is_pod: !pod.is_empty(),
        namespace: "np-demo".to_owned(),
        pod_name: pod.to_owned(),
        ingress_isolated: !ingress.is_empty(),
        egress_isolated: !egress.is_empty(),
        ingress_policies: names(ingress),
        egress_policies: names(egress),
        mode: PolicyMode::Enforce.into(),
        policy_revision: 3,
        ..Endpoint::default()
    }
}

/// Rule 1 has allowed nothing yet.
fn web_verdicts() -> VerdictCounts {
    let rules = vec![RuleHits { rule: 0, connections: 1_234 }];
    let gone = PolicyHits { policy: "gone".to_owned(), rules: rules.clone(), denied: 9 };
    let web = PolicyHits { policy: "web".to_owned(), rules, denied: 56 };
    VerdictCounts { allowed: 2_468, denied: 65, unattributed: 0, policies: vec![gone, web] }
}

async fn run(words: &[&str]) -> Outcome {
    let endpoints = ListEndpointsResponse {
        endpoints: vec![
            endpoint("batch", &[], &["batch"]),
            endpoint("other", &["of-a-moment-ago"], &[]),
            Endpoint {
                ingress_verdicts: Some(web_verdicts()),
                egress_verdicts: Some(VerdictCounts::default()),
                ..endpoint("web-1", &["web"], &[])
            },
            endpoint("", &[], &[]),
        ],
        ..ListEndpointsResponse::default()
    };
    let objects = Arc::new(Mutex::new(vec![objects("", None, 90)]));
    let agent = Agent { endpoints, objects, ..Agent::default() };
    let address = Stub { agent: Some(agent), ..Stub::default() }.serve().to_string();
    palomar(&[words, &["--server", &address]].concat()).run_async().await
}

/// The cells of each line.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect()
}

const WEB: [[&str; 9]; 3] = [
    [
        "np-demo/web-1",
        "ingress",
        "enforce",
        "web",
        "0",
        "podSelector role=frontend",
        "TCP http",
        "1,234",
        "56",
    ],
    [
        "np-demo/web-1",
        "ingress",
        "enforce",
        "web",
        "1",
        "ipBlock 192.0.2.0/24 except 192.0.2.128/25",
        "any",
        "0",
        "-",
    ],
    ["np-demo/web-1", "egress", "enforce", "-", "-", "any (not isolated)", "any", "-", "-"],
];

#[tokio::test]
async fn every_rule_of_every_pod_is_a_row_and_so_is_a_direction_without_any() {
    let outcome = run(&["policy", "list"]).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let found = cells(&outcome.out);
    let head = ["POD", "DIRECTION", "MODE", "POLICY", "RULE", "PEERS", "PORTS", "ALLOWED", "DENIED"];
    let others = [
        ["np-demo/batch", "ingress", "enforce", "-", "-", "any (not isolated)", "any", "-", "-"],
        ["np-demo/batch", "egress", "enforce", "batch", "-", "none", "none", "-", "-"],
        ["np-demo/other", "ingress", "enforce", "of-a-moment-ago", "-", "not told", "not told", "-", "-"],
        ["np-demo/other", "egress", "enforce", "-", "-", "any (not isolated)", "any", "-", "-"],
    ];
    let expected: Vec<Vec<&str>> =
        [&[head][..], &others, &WEB].concat().into_iter().map(|row| row.to_vec()).collect();
    assert_eq!(found, expected, "{}", outcome.out);
}

#[tokio::test]
async fn one_pod_is_printed_alone_and_as_json_with_the_places_of_its_policies() {
    let outcome = run(&["policy", "get", "np-demo/web-1"]).await;
    assert_eq!(cells(&outcome.out)[1..], WEB.map(|row| row.to_vec()), "{}{}", outcome.out, outcome.err);
    let outcome = run(&["policy", "get", "np-demo/web-1", "-o", "json"]).await;
    let value: Value = serde_json::from_str(&outcome.out).unwrap();
    let web = &value["endpoints"][0];
    assert_eq!((&web["mode"], &web["policy_revision"]), (&json!("enforce"), &json!(3)));
    assert_eq!(web["egress"], json!({ "isolated": false, "policies": [] }));
    let policy = &web["ingress"]["policies"][0];
    assert_eq!((&policy["file"], &policy["line"]), (&json!("policies.yaml"), &json!(1)));
    assert_eq!(
        policy["rules"][0],
        json!({ "rule": 0, "peers": ["podSelector role=frontend"], "ports": ["TCP http"], "allowed": 1_234 })
    );
    assert_eq!((&policy["rules"][1]["allowed"], &policy["denied"]), (&json!(0), &json!(56)));
    let outcome = run(&["policy", "get", "np-demo/other", "-o", "json"]).await;
    let value: Value = serde_json::from_str(&outcome.out).unwrap();
    let policy = &value["endpoints"][0]["ingress"]["policies"][0];
    assert_eq!(policy["denied"], Value::Null, "an agent that does not count");
}

#[tokio::test]
async fn a_pod_that_is_none_of_the_node_is_refused_with_the_choices() {
    let table: [(&[&str], &str); 2] = [
        (
            &["np-demo/wob"],
            "np-demo/wob: no pod of the agent's node; choose from: np-demo/batch, np-demo/other, np-demo/web-1",
        ),
        (&[], "missing argument: a pod, as namespace/name"),
    ];
    for (pod, expected) in table {
        let outcome = run(&[&["policy", "get"], pod].concat()).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{pod:?}");
        assert!(outcome.err.contains(expected), "{pod:?}: {}", outcome.err);
    }
}
