//! An agent that is killed while it starts harms nothing, opens nothing that was closed, and does not keep the next one
//! from coming up. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use palomar_lab::Topology;
use support::{ALLOW_ECHO, Agent, DEFAULT_DENY, Load, Options, Probe, echo, np_demo};

/// What the log says at the moments of a start, in their order.
const MOMENTS: [&str; 4] =
    ["loaded the datapath", "the kernel holds the newest world", "attached interface=", "serving"];
/// Changes what the kernel is to hold, and nothing for the pods of the test.
const ELSEWHERE: (&str, &str) = (
    "50-elsewhere.yaml",
    "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: np-demo, name: elsewhere}
spec:
  podSelector: {matchLabels: {role: other}}
  policyTypes: [Egress]
  egress: [{}]
",
);

#[test]
fn killed_at_any_moment_of_a_first_start_with_tcx() {
    first_start("e2first", Topology::Routed, "tcx");
}

#[test]
fn killed_at_any_moment_of_a_first_start_with_clsact() {
    first_start("e2firc", Topology::Bridge, "clsact");
}

#[test]
fn killed_at_any_moment_of_a_later_start_with_tcx() {
    later_start("e2latt", Topology::Bridge, "tcx");
}

#[test]
fn killed_at_any_moment_of_a_later_start_with_clsact() {
    later_start("e2latc", Topology::Routed, "clsact");
}

fn killed_at(agent: &mut Agent, moment: &str) {
    agent.spawn();
    agent.wait_for_log(moment);
    agent.kill9();
}

fn first_start(name: &str, topology: Topology, attach: &'static str) {
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let context = format!("{attach}, killed at {moment:?}");
        let lab = np_demo(&format!("{name}{number}"), topology);
        let [web, frontend, other] =
            ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
        let _servers = echo(web);
        let mut agent = Agent::prepare(&lab, Options::mode("enforce").attach(attach));
        agent.apply_all(&[DEFAULT_DENY, ALLOW_ECHO]);
        let load = Load::start(frontend, web);
        killed_at(&mut agent, moment);
        load.go_on(20);
        agent.start_again();
        agent.wait_for_endpoint("np-demo/web", "isolated", |web| web["ingress_isolated"] == true);
        let probe = Probe::start(other, web);
        probe.go_on(50);
        probe.nothing_has_passed(&context);
        load.go_on(20);
        if attach == "clsact" { load.no_connection_failed(&context) } else { load.nothing_was_lost(&context) }
    }
}

fn later_start(name: &str, topology: Topology, attach: &'static str) {
    let lab = np_demo(name, topology);
    let [web, frontend, other] =
        ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
    let _servers = echo(web);
    let mut agent = Agent::start(&lab, Options::mode("enforce").attach(attach));
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_ECHO]);
    let (load, probe) = (Load::start(frontend, web), Probe::start(other, web));
    agent.kill9();
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let context = format!("{attach}, killed at {moment:?}");
        // so that there is something to compile at each start
        if number % 2 == 0 {
            agent.apply(ELSEWHERE);
        } else {
            agent.delete(ELSEWHERE);
        }
        killed_at(&mut agent, moment);
        probe.go_on(20);
        load.go_on(20);
        agent.start_again();
        assert!(agent.log().contains("adopted what an earlier agent left"), "{context}\n{}", agent.log());
        probe.go_on(20);
        probe.nothing_has_passed(&context);
        agent.kill9();
    }
    agent.start_again();
    probe.go_on(20);
    probe.nothing_has_passed(attach);
    load.nothing_was_lost(attach);
}
