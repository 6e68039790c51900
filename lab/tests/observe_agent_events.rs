//! What `palomar observe agent-events` tells of an agent at work. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use palomar_lab::{Lab, PodSpec, Topology};
use support::{ALLOW_FRONTEND, Agent, DEFAULT_DENY, Options, wait_or};

/// All events, one a line, without their time.
fn events(agent: &Agent) -> Vec<String> {
    let text = agent.palomar(&["observe", "agent-events", "--all"]);
    text.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
}

/// Waits until there is an event that begins and ends so, and gives it.
fn wait_for(agent: &Agent, begin: &str, end: &str) -> String {
    let seen = || events(agent).into_iter().find(|line| line.starts_with(begin) && line.ends_with(end));
    wait_or(seen, || format!("no {begin:?} … {end:?} in\n{}", events(agent).join("\n")))
}

#[test]
fn the_start_policies_endpoints_and_addresses_are_told_as_they_come_and_go() {
    let web = PodSpec::new("np-demo", "web").label("app", "web");
    let lab = Lab::new("agevents", Topology::Routed, vec![web]).unwrap();
    let mut agent = Agent::start(&lab, Options::mode("enforce"));
    let web = agent.wait_for_endpoint("np-demo/web", "known", |e| e["identity"].as_u64() >= Some(256));
    let (id, identity) = (&web["id"], &web["identity"]);
    let created = format!("ENDPOINT_CREATED (id: {id}, namespace: np-demo, pod name: web)");
    wait_for(&agent, &created, "");
    wait_for(&agent, &format!("ENDPOINT_REGENERATE_SUCCESS (id: {id}, labels: ["), "])");
    wait_for(&agent, &format!("IPCACHE_UPSERTED (cidr: 10.244.0.10/32, identity: {identity}, host ip: "), "");
    assert!(events(&agent)[0].starts_with("AGENT_STARTED (start time: "), "{:?}", events(&agent));

    let labels = |name: &str| {
        let prefix = "k8s:io.cilium.k8s.policy";
        format!("{prefix}.derived-from=NetworkPolicy,{prefix}.name={name},{prefix}.namespace=np-demo")
    };
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    let begin = |kind: &str, name: &str| format!("{kind} (labels: [{}], revision: ", labels(name));
    wait_for(&agent, &begin("POLICY_UPDATED", "default-deny"), ", count: 0)");
    wait_for(&agent, &begin("POLICY_UPDATED", "allow-frontend"), ", count: 1)");
    agent.delete(ALLOW_FRONTEND);
    wait_for(&agent, &begin("POLICY_DELETED", "allow-frontend"), ", count: 1)");

    agent.delete(("lab-pod-np-demo-web.yaml", ""));
    wait_for(&agent, &format!("ENDPOINT_DELETED (id: {id}, namespace: np-demo, pod name: web)"), "");
    let deleted = format!("IPCACHE_DELETED (cidr: 10.244.0.10/32, identity: {identity}, ");
    wait_for(&agent, &deleted, "");
    let first = agent.palomar(&["observe", "agent-events", "--first", "1", "-o", "json"]);
    assert!(first.starts_with(r#"{"agent_event":{"type":"AGENT_STARTED""#), "{first}");
    assert_eq!(agent.palomar(&["observe", "agent-events", "--last", "2"]).lines().count(), 2);
    assert!(agent.terminate().success());
}
