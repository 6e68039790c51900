//! Why real flows were judged as they were, asked of the agent that judged them. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use palomar_lab::Topology;
use serde_json::Value;
use support::{
    ALLOW_FRONTEND, Agent, DEFAULT_DENY, LONG, Options, PORT, SHORT, field, is_type, names_pod, np_demo,
    wait_or,
};

/// Longer than a change of policies takes to be sure.
const SETTLED: Duration = Duration::from_millis(300);

/// The UUID of the verdict at web on a connection from this pod.
fn verdict_from(agent: &Agent, pod: &str) -> String {
    agent.wait_for_flows(pod, &["--to-pod", "np-demo/web"], |flows: &[Value]| {
        let is_it = |flow: &&Value| is_type(flow, 5) && names_pod(flow, pod, "web");
        flows.iter().find(is_it).map(|flow| field(flow, "/uuid").as_str().unwrap().to_owned())
    })
}

fn explained(agent: &Agent, uuid: &str) -> String {
    agent.palomar(&["policy", "explain", "--uuid", uuid])
}

#[test]
fn real_flows_are_explained_by_the_policies_of_their_time_and_not_by_later_ones() {
    let lab = np_demo("expflows", Topology::Routed);
    let mut agent = Agent::start(&lab, Options::mode("enforce"));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_FRONTEND]);
    thread::sleep(SETTLED);
    let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap().clone();
    let (web, frontend, other) = (pod("web"), pod("frontend"), pod("other"));
    let _server = web.serve_echo(PORT).unwrap();
    let to: SocketAddr = (web.v4().unwrap(), PORT).into();
    frontend.connect(to, LONG).unwrap().ping(LONG).unwrap();
    assert!(other.connect(to, SHORT).is_err());

    let (allowed, denied) = (verdict_from(&agent, "frontend"), verdict_from(&agent, "other"));
    let text = explained(&agent, &allowed);
    assert!(text.contains("np-demo/frontend -> np-demo/web, TCP 8080: allowed\n"), "{text}");
    assert!(text.contains("np-demo/allow-frontend ingress[0] (30-allow-frontend.yaml:"), "{text}");
    let text = explained(&agent, &denied);
    assert!(text.contains("np-demo/other -> np-demo/web, TCP 8080: denied\n"), "{text}");
    assert!(text.contains("isolated by np-demo/allow-frontend (30-allow-frontend.yaml:"), "{text}");

    let lines =
        agent.palomar(&["observe", "--all", "--why", "--from-pod", "np-demo/other", "--verdict", "DROPPED"]);
    let whys: Vec<&str> = lines.lines().filter(|line| line.starts_with("    why: ")).collect();
    assert_eq!(whys.len() * 2, lines.lines().count(), "{lines}");
    assert!(
        !whys.is_empty() && whys.iter().all(|why| why.contains("ingress denied, isolated by")),
        "{lines}"
    );

    let simulated =
        agent.palomar_output(&["policy", "simulate", "--delete", "netpol/np-demo/allow-frontend"]);
    assert_eq!(simulated.status.code(), Some(3), "{}{}", simulated.stdout, simulated.stderr);
    assert!(simulated.stdout.contains("np-demo/frontend -> np-demo/web, TCP 8080: "), "{}", simulated.stdout);
    assert!(simulated.stdout.contains("    ingress then: denied, isolated by np-demo/default-deny ("));

    let enforced: Value =
        serde_json::from_str(&agent.palomar(&["policy", "get", "np-demo/web", "-o", "json"])).unwrap();
    let ingress = &enforced["endpoints"][0]["ingress"];
    assert_eq!(ingress["isolated"], true, "{enforced}");
    assert_eq!(ingress["policies"][0]["name"], "allow-frontend", "{enforced}");
    assert_eq!(ingress["policies"][0]["rules"][0]["ports"], serde_json::json!(["TCP 8080"]), "{enforced}");

    agent.delete(ALLOW_FRONTEND);
    let removed = "cannot know: what was in force: NetworkPolicy np-demo/allow-frontend was removed since";
    let seen = || Some(explained(&agent, &allowed)).filter(|text| text.contains(removed));
    wait_or(seen, || explained(&agent, &allowed));

    // nobody knows what an agent before this one knew
    agent.restart();
    let text = explained(&agent, &denied);
    assert!(text.contains("cannot know: what was in force: the agent knows of changes since "), "{text}");
    assert!(agent.terminate().success());
}
