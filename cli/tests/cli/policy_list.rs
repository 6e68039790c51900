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
        policy_set: 12,
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
    let endpoints = vec![
        endpoint("batch", &[], &["batch"]),
        endpoint("other", &["of-a-moment-ago"], &[]),
        Endpoint {
            ingress_verdicts: Some(web_verdicts()),
            egress_verdicts: Some(VerdictCounts::default()),
            ..endpoint("web-1", &["web"], &[])
        },
        endpoint("", &[], &[]),
    ];
    run_with(endpoints, words).await
}

async fn run_with(endpoints: Vec<Endpoint>, words: &[&str]) -> Outcome {
    let endpoints = ListEndpointsResponse { endpoints, ..ListEndpointsResponse::default() };
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
async fn a_policy_is_printed_with_its_rules_its_pods_what_the_kernel_holds_and_its_yaml() {
    let outcome = run(&["policy", "get", "networkpolicy/np-demo/web"]).await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let expected = "\
NetworkPolicy np-demo/web (policies.yaml:1), in force since 2026-03-04T04:53:30Z
Isolates ingress of podSelector app=web: 2 pods, 1 of the agent's node

DIRECTION   RULE   PEERS                                        PODS   PORTS      ALLOWED   DENIED
ingress     0      podSelector role=frontend                    1      TCP http   1,234     56
ingress     1      ipBlock 192.0.2.0/24 except 192.0.2.128/25   -      any        0         -

POD             NODE   IN FORCE   MODE      SET   REVISION   NOTES
np-demo/web-1   n1     ingress    enforce   12    3          -
np-demo/web-2   n2     -          -         -     -          on node n2, or not seen (palomar endpoint list)

apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: np-demo
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes:
  - Ingress
  ingress:
  - from:
    - podSelector:
        matchLabels:
          role: frontend
    ports:
    - protocol: TCP
      port: http
  - from:
    - ipBlock:
        cidr: 192.0.2.0/24
        except:
        - 192.0.2.128/25
";
    assert_eq!(outcome.out, expected);
}

#[tokio::test]
async fn a_policy_in_json_tells_the_same() {
    let outcome = run(&["policy", "get", "np-demo/web", "-o", "json"]).await;
    let value: Value = serde_json::from_str(&outcome.out).unwrap();
    let policy = &value["policy"];
    assert_eq!((&policy["file"], &policy["line"]), (&json!("policies.yaml"), &json!(1)));
    assert_eq!(policy["egress"], json!({ "isolates": false, "rules": [], "denied": null }));
    let ingress = &policy["ingress"];
    assert_eq!((&ingress["isolates"], &ingress["denied"]), (&json!(true), &json!(56)));
    assert_eq!(
        ingress["rules"][0],
        json!({
            "rule": 0, "peers": ["podSelector role=frontend"], "pods": 1, "ports": ["TCP http"], "allowed": 1_234,
        })
    );
    let pods = policy["pods"].as_array().unwrap();
    assert_eq!((&pods[0]["name"], &pods[0]["in_force"]), (&json!("web-1"), &json!(["ingress"])));
    assert_eq!((&pods[0]["policy_set"], &pods[0]["why_not"]), (&json!(12), &json!(null)));
    assert_eq!((&pods[1]["is_of_agents_node"], &pods[1]["policy_set"]), (&json!(false), &json!(null)));
    assert!(policy["yaml"].as_str().unwrap().starts_with("apiVersion: networking.k8s.io/v1\n"));
}

#[tokio::test]
async fn one_that_the_kernel_does_not_hold_yet_is_told_to_be_so() {
    let endpoints = vec![endpoint("web-1", &[], &["batch"])];
    let outcome = run_with(endpoints, &["policy", "get", "web"]).await;
    let row =
        "np-demo/web-1   n1     -          enforce   12    3          the kernel does not hold it yet\n";
    assert!(outcome.out.contains(row), "{}{}", outcome.out, outcome.err);
    assert!(outcome.out.contains("TCP http   -         -\n"), "nobody counts: {}", outcome.out);
}

#[tokio::test]
async fn a_name_is_taken_for_the_only_one_that_has_it_and_else_refused_with_the_choices() {
    let table: [(&str, &str); 8] = [
        ("np-demo/web-1", "POD "),
        ("web-1", "POD "),
        ("pod/web-1", "POD "),
        ("np-demo/web", "NetworkPolicy np-demo/web "),
        ("web", "NetworkPolicy np-demo/web "),
        ("netpol/web", "NetworkPolicy np-demo/web "),
        ("pod/np-demo/batch", "POD "),
        ("netpol/np-demo/batch", "NetworkPolicy np-demo/batch "),
    ];
    for (word, begins) in table {
        let outcome = run(&["policy", "get", word]).await;
        assert!(outcome.out.starts_with(begins), "{word}: {}{}", outcome.out, outcome.err);
    }
    let both = "choose from: pod/np-demo/batch, networkpolicy/np-demo/batch";
    let forms =
        "choose from: NAMESPACE/NAME, pod/NAMESPACE/NAME, networkpolicy/NAMESPACE/NAME, or NAME alone";
    let table: [(&[&str], &str); 9] = [
        (&["np-demo/batch"], &format!("np-demo/batch names 2 of them; {both}")),
        (&["batch"], &format!("batch names 2 of them; {both}")),
        (&["np-demo/wob"], "np-demo/wob: no pod of the agent's node and no policy; choose from: np-demo/"),
        (
            &["pod/np-demo/wob"],
            "no pod of the agent's node; choose from: np-demo/batch, np-demo/other, np-demo/web-1",
        ),
        (&["netpol/np-demo/web-1"], "no policy; choose from: np-demo/batch, "),
        (
            &["np-demo/web-2"],
            "pod np-demo/web-2 is not seen by this agent: it is on node n2, whose agent can tell",
        ),
        (&["svc/np-demo/web"], &format!("svc/np-demo/web: neither a pod nor a policy; {forms}")),
        (&["np-demo/"], &format!("np-demo/: neither a pod nor a policy; {forms}")),
        (&[], "missing argument: a pod or a policy, as namespace/name"),
    ];
    for (word, expected) in table {
        let outcome = run(&[&["policy", "get"], word].concat()).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{word:?}");
        assert!(outcome.err.contains(expected), "{word:?}: {}", outcome.err);
    }
}
