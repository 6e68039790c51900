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

/// The newest drop of a SYN from `pod` to web that somebody else in the kernel made.
fn foreign_drop_from(agent: &Agent, pod: &str) -> String {
    agent.wait_for_flows("a drop by somebody else", &["--type", "drop", "--to-pod", "np-demo/web"], |flows| {
        let is_it = |flow: &&Value| {
            names_pod(flow, pod, "web")
                && field(flow, "/Summary").as_str().is_some_and(|s| s.contains("kernel: "))
        };
        flows.iter().rfind(is_it).map(|flow| field(flow, "/uuid").as_str().unwrap().to_owned())
    })
}

/// A rule of netfilter on the node plays another CNI, which drops what `other` sends to web.
#[test]
fn a_drop_by_another_is_told_beside_what_policy_says_of_it() {
    for (name, mode) in [("expothera", "audit"), ("expothero", "off")] {
        let lab = np_demo(name, Topology::Routed);
        let agent = Agent::start(&lab, Options::mode(mode).arg("--foreign-drops").arg("on"));
        for pod in ["web", "other"] {
            agent.wait_for_endpoint(&format!("np-demo/{pod}"), "attached", |_| true);
        }
        let pod = |name: &str| lab.pod(&format!("np-demo/{name}")).unwrap().clone();
        let (web, other) = (pod("web"), pod("other"));
        let rule = format!(
            "table ip lab_cni {{
                chain forward {{
                    type filter hook forward priority 0;
                    ip saddr {} ip daddr {} drop
                }}
            }}",
            other.v4().unwrap(),
            web.v4().unwrap()
        );
        let output = lab.node().command("nft").arg(rule).output(LONG).unwrap();
        assert!(output.status.success(), "{}", output.stderr);
        let to: SocketAddr = (web.v4().unwrap(), PORT).into();
        let beside = |comparison: &str, verdict: &str| {
            thread::sleep(SETTLED);
            assert!(other.connect(to, SHORT).is_err());
            thread::sleep(SETTLED);
            let uuid = foreign_drop_from(&agent, "other");
            let text = explained(&agent, &uuid);
            let mut lines = text.lines().skip(1);
            let evidence = lines.next().unwrap_or_default();
            assert!(evidence.starts_with("the kernel dropped it: NETFILTER_DROP at "), "{mode}: {text}");
            assert_eq!(lines.next(), Some(comparison), "{mode}: {text}");
            let asked = format!("np-demo/other -> np-demo/web, TCP {PORT}: {verdict}");
            assert_eq!(lines.next(), Some(asked.as_str()), "{mode}: {text}");
            serde_json::from_str::<Value>(
                &agent.palomar(&["policy", "explain", "--uuid", &uuid, "-o", "json"]),
            )
            .unwrap()
        };
        let value = beside("policy allows it: whoever lost it does not act by these policies", "allowed");
        assert_eq!(value["comparison"]["policy_agrees"], false, "{value}");

        agent.apply(DEFAULT_DENY);
        agent.wait_for_log("world=2");
        let looks = "policy denies it as well: this looks like another's enforcement of np-demo/default-deny";
        let value = beside(looks, "denied");
        assert_eq!(value["evidence"]["reason"], "NETFILTER_DROP", "{value}");
        assert_eq!(value["comparison"]["enforced_by_another"][0]["name"], "default-deny", "{value}");
        let lines = agent.palomar(&["observe", "--last", "1", "--why", "--type", "drop"]);
        assert!(lines.contains("    why: the kernel dropped it: NETFILTER_DROP at "), "{lines}");
        assert!(lines.trim_end().ends_with(looks), "{lines}");
    }
}
