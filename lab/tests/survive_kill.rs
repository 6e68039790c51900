//! An agent that is killed under traffic harms none of it, and the next one goes on where it was. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use palomar_lab::Topology;
use serde_json::Value;
use support::{
    ALLOW_ECHO, Agent, DEFAULT_DENY, Load, Options, Probe, connect, echo, field, is_reply, names_pod, np_demo,
};

#[test]
fn a_killed_agent_harms_no_traffic_on_a_routed_node_with_tcx() {
    in_each_mode("e2killrt", Topology::Routed, "tcx");
}

#[test]
fn a_killed_agent_harms_no_traffic_on_a_routed_node_with_clsact() {
    in_each_mode("e2killrc", Topology::Routed, "clsact");
}

#[test]
fn a_killed_agent_harms_no_traffic_on_a_bridge_with_tcx() {
    in_each_mode("e2killbt", Topology::Bridge, "tcx");
}

#[test]
fn a_killed_agent_harms_no_traffic_on_a_bridge_with_clsact() {
    in_each_mode("e2killbc", Topology::Bridge, "clsact");
}

fn in_each_mode(name: &str, topology: Topology, attach: &'static str) {
    for mode in ["off", "audit", "enforce"] {
        killed_under_traffic(&format!("{name}{mode}"), topology, Options::mode(mode).attach(attach));
    }
}

fn killed_under_traffic(name: &str, topology: Topology, options: Options) {
    let (mode, context) = (options.mode, format!("{topology:?} {options:?}"));
    let lab = np_demo(name, topology);
    let [web, frontend, other] =
        ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
    let _servers = echo(web);
    let mut agent = Agent::start(&lab, options);
    agent.isolate_web(&[DEFAULT_DENY, ALLOW_ECHO]);
    let identity = agent.endpoint("np-demo/frontend").unwrap()["identity"].clone();

    let load = Load::start(frontend, web);
    let probe = Probe::start(other, web);
    load.go_on(20);
    agent.kill9();
    load.go_on(50);
    probe.go_on(50);
    let (mut meanwhile, port) = connect(frontend, web).unwrap();
    meanwhile.ping(support::LONG).unwrap();
    agent.start_again();
    assert!(
        agent.log().contains("adopted what an earlier agent left in force"),
        "{context}\n{}",
        agent.log()
    );
    assert!(!agent.log().contains("adopted=false"), "{context}\n{}", agent.log());
    load.go_on(20);
    if mode == "enforce" {
        probe.nothing_has_passed(&context);
    } else {
        probe.passes(&context);
    }

    // what happened while there was no agent was kept in the kernel's ring
    for port in [port, load.open.port()] {
        let filters = ["--port", &port.to_string(), "--protocol", "tcp"];
        agent.wait_for_flows("both directions, with replies told apart", &filters, |flows| {
            told(flows, &identity).then_some(())
        });
    }
    meanwhile.ping(support::LONG).unwrap();
    load.nothing_was_lost(&context);
    assert!(agent.is_running(), "{context}\n{}", agent.log());
}

/// Whether flows of both directions are there; panics if one of them names somebody else or does not know which
/// direction it is.
fn told(flows: &[Value], identity: &Value) -> bool {
    let mut seen = [false; 2];
    for flow in flows {
        let reply = names_pod(flow, "web", "frontend");
        assert!(reply || names_pod(flow, "frontend", "web"), "{flow}");
        assert_eq!(is_reply(flow), Some(reply), "{flow}");
        let end = if reply { "/destination/identity" } else { "/source/identity" };
        assert_eq!(field(flow, end), identity, "{flow}");
        seen[usize::from(reply)] = true;
    }
    seen == [true; 2]
}
