//! Manifests that are wrong, while policy is enforced: what is refused opens nothing, and is told with its place. Needs
//! root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, File};
use std::io::Write;

use palomar_lab::traffic::TrafficError;
use palomar_lab::{Lab, Topology};
use support::{ALLOW_FRONTEND, Agent, DEFAULT_DENY, LONG, Options, PORT, SHORT, np_demo, wait_or};

/// The policy with a name that no field has, on this line.
const TYPO: &str = "podSelecter";
const TYPO_PLACE: &str = "30-allow-frontend.yaml:8";

/// What a client of web sees.
fn get(lab: &Lab, from: &str) -> Result<String, TrafficError> {
    let patience = if from == "other" { SHORT } else { LONG };
    let web = lab.pod("np-demo/web").unwrap();
    lab.pod(&format!("np-demo/{from}")).unwrap().get_within(&web.url(PORT), patience)
}

fn assert_only_frontend(lab: &Lab, when: &str) {
    assert_eq!(get(lab, "frontend").as_deref(), Ok("web\n"), "frontend, {when}");
    assert_eq!(get(lab, "other"), Err(TrafficError::Timeout), "other, {when}");
}

/// Waits until the agent's status has a line with all of these, or has none that begins with a file's name.
fn wait_for_refusal(agent: &Agent, says: &[&str]) {
    let mut last = String::new();
    wait_or(
        || {
            last = agent.palomar(&["status"]);
            last.lines().any(|line| says.iter().all(|text| line.contains(text))).then_some(())
        },
        || format!("no line with {says:?}"),
    );
}

fn wait_for_no_refusal(agent: &Agent) {
    let none = || (!agent.palomar(&["status"]).contains(".yaml")).then_some(());
    wait_or(none, || agent.palomar(&["status"]));
}

#[test]
fn a_policy_with_a_typo_is_refused_and_what_held_before_holds_on_across_a_restart_until_it_is_repaired() {
    let lab = np_demo("brtypo", Topology::Routed);
    let _server = lab.pod("np-demo/web").unwrap().serve_http(PORT).unwrap();
    let mut agent = Agent::start(&lab, Options::mode("enforce"));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    assert_only_frontend(&lab, "before");

    let typo = ALLOW_FRONTEND.1.replacen("podSelector", TYPO, 1);
    agent.apply((ALLOW_FRONTEND.0, &typo));
    agent.wait_for_log(TYPO_PLACE);
    wait_for_refusal(&agent, &[TYPO_PLACE, TYPO]);
    assert_only_frontend(&lab, "with a typo in the policy that allows");

    // the rest of the directory is taken in meanwhile
    agent.apply(("40-frontend.yaml", ISOLATES_FRONTEND));
    agent.wait_for_endpoint("np-demo/frontend", "isolated by a policy of another file", |e| {
        e["ingress_isolated"] == true
    });

    // both files of web are broken now: nothing opens
    agent.apply((DEFAULT_DENY.0, &DEFAULT_DENY.1.replacen("podSelector", TYPO, 1)));
    agent.wait_for_log(&format!("{}:", DEFAULT_DENY.0));
    assert_only_frontend(&lab, "with a typo in both");

    agent.restart();
    assert!(agent.log().contains(TYPO_PLACE), "{}", agent.log());
    wait_for_refusal(&agent, &[TYPO_PLACE, TYPO]);
    wait_for_refusal(&agent, &[DEFAULT_DENY.0, TYPO]);
    assert_only_frontend(&lab, "after a restart with both broken");
    let web = agent.endpoint("np-demo/web").unwrap();
    assert_eq!(web["ingress_policies"].as_array().map(Vec::len), Some(2), "{web}");

    agent.apply(ALLOW_FRONTEND);
    agent.apply(DEFAULT_DENY);
    wait_for_no_refusal(&agent);
    assert_only_frontend(&lab, "after the repair");
    agent.delete(ALLOW_FRONTEND);
    agent.delete(DEFAULT_DENY);
    agent.wait_for_endpoint("np-demo/web", "open", |web| web["ingress_isolated"] != true);
    assert_eq!(get(&lab, "other").as_deref(), Ok("web\n"), "files that were deleted isolate nothing");
}

const ISOLATES_FRONTEND: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: frontend}
spec:
  podSelector: {matchLabels: {role: frontend}}
  policyTypes: [Ingress]
";

#[test]
fn a_file_that_is_emptied_opens_nothing_and_one_that_is_written_in_two_steps_is_read_whole() {
    let lab = np_demo("brempty", Topology::Routed);
    let _server = lab.pod("np-demo/web").unwrap().serve_http(PORT).unwrap();
    let agent = Agent::start(&lab, Options::mode("enforce"));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    assert_only_frontend(&lab, "before");

    let path = agent.manifests.join(DEFAULT_DENY.0);
    File::create(&path).unwrap();
    wait_for_refusal(&agent, &[DEFAULT_DENY.0, "is empty, and held objects before"]);
    assert_only_frontend(&lab, "with an empty file");

    // as an editor does it: truncate, then write in pieces, then close
    for _ in 0..10 {
        let mut file = File::create(&path).unwrap();
        for piece in DEFAULT_DENY.1.as_bytes().chunks(50) {
            file.write_all(piece).unwrap();
            file.flush().unwrap();
            assert_eq!(get(&lab, "other"), Err(TrafficError::Timeout), "while the file is written");
        }
    }
    wait_for_no_refusal(&agent);
    assert_only_frontend(&lab, "after ten writes");

    // a comment is how to say that nothing is meant
    fs::write(agent.manifests.join(ALLOW_FRONTEND.0), "# nothing\n").unwrap();
    agent.wait_for_endpoint("np-demo/web", "isolated by one policy", |web| {
        web["ingress_policies"].as_array().is_some_and(|names| names.len() == 1)
    });
    assert_eq!(get(&lab, "frontend"), Err(TrafficError::Timeout));
}

#[test]
fn an_escape_sequence_in_a_label_reaches_neither_the_log_nor_the_terminal() {
    let lab = np_demo("brescape", Topology::Routed);
    let agent = Agent::start(&lab, Options::mode("enforce").arg("--log-format").arg("json"));
    let evil = "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: np-demo\n  name: evil\n  labels:\n    role: \"\\e[31mred\\e]0;title\\a\"\n    \"\\e[2J\": x\nstatus: {podIP: 10.244.0.99}\n";
    agent.apply(("50-evil.yaml", evil));
    wait_for_refusal(&agent, &["50-evil.yaml", "labels"]);
    // a file's own name may hold one as well
    let name = "51-\u{1b}[31m.yaml";
    fs::write(agent.manifests.join(name), "kind: [\n").unwrap();
    wait_for_refusal(&agent, &["51-"]);

    let raw_log = fs::read(&agent.log_file).unwrap();
    assert!(String::from_utf8_lossy(&raw_log).contains("50-evil.yaml"));
    assert!(!raw_log.contains(&0x1b) && !raw_log.contains(&0x07), "a control byte in the log");
    for args in [
        ["status", "-o", "compact"],
        ["endpoint", "list", "-o=json"],
        ["endpoint", "list", "-o=table"],
        ["identity", "list", "-o=json"],
        ["observe", "--all", "-o=compact"],
    ] {
        let text = agent.palomar(&args);
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{args:?}: {text:?}");
    }
}

#[test]
fn a_pod_named_in_two_files_is_the_first_ones_until_that_file_is_gone() {
    let lab = np_demo("brtwice", Topology::Routed);
    let agent = Agent::start(&lab, Options::mode("enforce"));
    let labels = |e: &serde_json::Value| e["labels"].to_string();
    let other = lab.pod("np-demo/other").unwrap().v4().unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: np-demo, name: other, labels: {{role: frontend}}}}\nstatus: {{podIP: {other}}}\n"
    );
    agent.apply(("zz-again.yaml", &text));
    wait_for_refusal(&agent, &["zz-again.yaml:1", "np-demo/other", "stands in lab-pod-np-demo-other.yaml"]);
    let endpoint = agent.endpoint("np-demo/other").unwrap();
    assert!(labels(&endpoint).contains("role=other"), "{endpoint}");

    fs::remove_file(agent.manifests.join("lab-pod-np-demo-other.yaml")).unwrap();
    let taken = |e: &serde_json::Value| labels(e).contains("role=frontend");
    agent.wait_for_endpoint("np-demo/other", "the second file's", taken);
    wait_for_no_refusal(&agent);
}

#[test]
fn an_address_that_two_pods_claim_has_one_owner_and_the_other_pod_is_told_as_unseen() {
    let lab = np_demo("brshared", Topology::Routed);
    let agent = Agent::start(&lab, Options::mode("enforce"));
    let other = lab.pod("np-demo/other").unwrap().v4().unwrap();
    agent.wait_for_endpoint("np-demo/other", "attached", |_| true);
    let claim = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: np-demo, name: zz-claims}}\nspec: {{nodeName: {}}}\nstatus: {{podIP: {other}}}\n",
        lab.node_name()
    );
    agent.apply(("60-claim.yaml", &claim));
    let told = || {
        let list = agent.palomar(&["endpoint", "list"]);
        let line = |line: &&str| line.contains("np-demo/zz-claims") && line.contains("shared address");
        list.lines()
            .find(line)
            .map(|line| line.contains(&format!("{other} is also claimed by np-demo/other")))
    };
    assert!(wait_or(told, || agent.palomar(&["endpoint", "list"])));
    assert!(agent.endpoint("np-demo/other").is_some(), "{}", agent.endpoint_list());
}
