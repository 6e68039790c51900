//! How often each rule decided, as `palomar policy get` and `palomar endpoint list` tell it. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::SocketAddr;

use palomar_lab::{Place, Topology};
use serde_json::{Value, json};
use support::{ALLOW_FRONTEND, Agent, DEFAULT_DENY, LONG, Options, PORT, SHORT, np_demo, wait_or};

/// Allows frontend again, by its second rule, and nobody by its first.
const ALLOW_TWICE: (&str, &str) = (
    "40-allow-twice.yaml",
    "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: allow-twice}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {role: nobody}}}]
    - from: [{podSelector: {matchLabels: {role: frontend}}}]
",
);

fn answer(agent: &Agent, args: &[&str]) -> Value {
    serde_json::from_str(&agent.palomar(&[args, &["-o", "json"]].concat())).unwrap()
}

/// The policies of web's ingress: name, connections by rule, denials.
fn counts(agent: &Agent) -> Vec<(String, Vec<u64>, u64)> {
    let value = answer(agent, &["policy", "get", "np-demo/web"]);
    let policies = value["endpoints"][0]["ingress"]["policies"].as_array().unwrap().clone();
    let of_rules = |policy: &Value| {
        let rules = policy["rules"].as_array().unwrap();
        rules.iter().map(|rule| rule["allowed"].as_u64().unwrap()).collect()
    };
    let of = |policy: &Value| {
        (policy["name"].as_str().unwrap().to_owned(), of_rules(policy), policy["denied"].as_u64().unwrap())
    };
    policies.iter().map(of).collect()
}

fn wait_for_counts(agent: &Agent, expected: &[(&str, &[u64], u64)]) {
    let expected: Vec<(String, Vec<u64>, u64)> =
        expected.iter().map(|(name, rules, denied)| ((*name).to_owned(), rules.to_vec(), *denied)).collect();
    let why = || format!("{:?}, not {expected:?}\n{}", counts(agent), agent.log());
    wait_or(|| (counts(agent) == expected).then_some(()), why);
}

#[test]
fn n_connections_are_n_hits_of_each_rule_that_allows_and_m_denials_of_each_policy_that_isolates() {
    // in audit a connection that is denied is one denial; in enforce each of its packets is
    for (name, mode) in [("obhitsa", "audit"), ("obhitse", "enforce")] {
        let lab = np_demo(name, Topology::Routed);
        let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap().clone();
        let (web, frontend, other) = (pod("web"), pod("frontend"), pod("other"));
        let mut agent = Agent::start(&lab, Options::mode(mode));
        agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
        wait_for_counts(&agent, &[("allow-frontend", &[0], 0), ("default-deny", &[], 0)]);
        let _server = web.serve_echo(PORT).unwrap();
        let to: SocketAddr = (web.v4().unwrap(), PORT).into();
        let connect = |from: &Place| from.connect(to, LONG).unwrap().ping(LONG).unwrap();
        // each ends before its SYN is sent again
        let denied = || match mode {
            "audit" => connect(&other),
            _ => assert!(other.connect(to, SHORT).is_err()),
        };
        (0..5).for_each(|_| connect(&frontend));
        (0..3).for_each(|_| denied());
        wait_for_counts(&agent, &[("allow-frontend", &[5], 3), ("default-deny", &[], 3)]);

        agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND, ALLOW_TWICE]);
        (0..7).for_each(|_| connect(&frontend));
        wait_for_counts(
            &agent,
            &[("allow-frontend", &[12], 3), ("allow-twice", &[0, 7], 0), ("default-deny", &[], 3)],
        );
        let value = answer(&agent, &["endpoint", "list"]);
        let endpoints = value["endpoints"].as_array().unwrap();
        let of_web = endpoints.iter().find(|endpoint| endpoint["pod_name"] == "web").unwrap();
        let verdicts = &of_web["ingress_verdicts"];
        assert_eq!(
            (&verdicts["allowed"], &verdicts["denied"], &verdicts["unattributed"]),
            (&json!(12), &json!(3), &json!(0)),
            "{mode}: a connection that two rules allow is one: {verdicts}"
        );
        let policy = &answer(&agent, &["policy", "get", "networkpolicy/np-demo/allow-frontend"])["policy"];
        assert_eq!(
            (&policy["ingress"]["rules"][0]["allowed"], &policy["ingress"]["denied"]),
            (&json!(12), &json!(3))
        );
        let selected = &policy["pods"][0];
        assert_eq!(
            (&selected["name"], &selected["in_force"]),
            (&json!("web"), &json!(["ingress"])),
            "{policy}"
        );
        assert_eq!(selected["policy_set"], of_web["policy_set"], "{policy}");
        assert_ne!(selected["policy_set"], json!(0), "{policy}");
        let text = agent.palomar(&["policy", "get", "np-demo/web"]);
        let row = text.lines().find(|line| line.contains("allow-frontend")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().rev().take(2).collect();
        assert_eq!(cells, ["3", "12"], "{text}");

        agent.restart();
        wait_for_counts(
            &agent,
            &[("allow-frontend", &[0], 0), ("allow-twice", &[0, 0], 0), ("default-deny", &[], 0)],
        );
    }
}

#[test]
fn denials_that_are_not_told_one_by_one_are_counted_with_the_next() {
    const BURST: u64 = 10;
    let lab = np_demo("obhitsl", Topology::Routed);
    let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap().clone();
    let (web, other) = (pod("web"), pod("other"));
    let agent = Agent::start(&lab, Options::mode("enforce"));
    agent.isolate_web(&[DEFAULT_DENY]);
    let to: SocketAddr = (web.v4().unwrap(), PORT).into();
    let denials = 3 * BURST;
    for _ in 0..denials {
        assert!(other.connect(to, std::time::Duration::from_millis(5)).is_err());
    }
    let told = || counts(&agent)[0].2;
    assert!(told() < denials, "the limit holds");
    // a token comes back each second
    wait_or(
        || {
            assert!(other.connect(to, std::time::Duration::from_millis(5)).is_err());
            (told() > denials).then_some(())
        },
        || format!("{} of {denials}", told()),
    );
}
