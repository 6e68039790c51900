//! Each mode does to a denied packet what it promises, and says so; a restart changes the mode of a running datapath.
//! Needs root.

mod support;

use std::process::Command;

use palomar_lab::Topology;
use palomar_lab::traffic::TrafficError;
use serde_json::Value;
use support::{
    ALLOW_ECHO, Agent, DEFAULT_DENY, LONG, Load, Options, PORT, SHORT, echo, field, is_type, np_demo,
};

const POLICY_VERDICT: u64 = 5;

#[test]
fn a_restart_in_another_mode_changes_what_happens_to_denied_packets_and_what_is_told() {
    for (name, topology, attach) in
        [("e2moder", Topology::Routed, "tcx"), ("e2modeb", Topology::Bridge, "clsact")]
    {
        let lab = np_demo(name, topology);
        let [web, frontend, other] =
            ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
        let _servers = echo(web);
        let address = (web.v4().unwrap(), PORT).into();
        let mut agent = Agent::start(&lab, Options::mode("audit").attach(attach));
        agent.isolate_web(&[DEFAULT_DENY, ALLOW_ECHO]);
        let load = Load::start(frontend, web);
        for mode in ["audit", "enforce", "off", "enforce", "audit"] {
            let context = format!("{topology:?}, {mode}");
            if agent.options.mode != mode {
                agent.options.mode = mode;
                agent.restart();
            }
            // the ring outlives the restart, with what the mode before did
            let begun = now();
            let outcome = other.connect(address, if mode == "enforce" { SHORT } else { LONG });
            let filters = [
                "--from-pod",
                "np-demo/other",
                "--to-pod",
                "np-demo/web",
                "--tcp-flags",
                "SYN",
                "--since",
                &begun,
            ];
            if mode == "enforce" {
                assert_eq!(outcome.map(drop), Err(TrafficError::Timeout), "{context}");
                agent.wait_for_flows(&context, &filters, |flows| {
                    assert!(
                        !any(flows, |flow| field(flow, "/verdict") == "FORWARDED"),
                        "{context}: {flows:#?}"
                    );
                    let denied = any(flows, |flow| {
                        is_type(flow, POLICY_VERDICT)
                            && field(flow, "/verdict") == "DROPPED"
                            && isolating(flow) == ["allow-echo", "default-deny"]
                    });
                    let dropped = any(flows, |flow| {
                        is_type(flow, 1) && field(flow, "/drop_reason_desc") == "POLICY_DENIED"
                    });
                    (denied && dropped).then_some(())
                });
            } else {
                let port = outcome
                    .unwrap_or_else(|error| panic!("{context}: {error}"))
                    .local_address()
                    .unwrap()
                    .port();
                let port = port.to_string();
                let filters = [&filters[..], &["--port", &port]].concat();
                agent.wait_for_flows(&context, &filters, |flows| {
                    assert!(!any(flows, support::is_dropped), "{context}: {flows:#?}");
                    let audited = any(flows, |flow| {
                        is_type(flow, POLICY_VERDICT) && field(flow, "/verdict") == "AUDIT"
                    });
                    let verdicts = any(flows, |flow| is_type(flow, POLICY_VERDICT));
                    let forwarded = any(flows, |flow| {
                        !is_type(flow, POLICY_VERDICT) && field(flow, "/verdict") == "FORWARDED"
                    });
                    (forwarded && audited == (mode == "audit") && verdicts == audited).then_some(())
                });
            }
            load.go_on(20);
        }
        load.nothing_was_lost(&format!("{topology:?}"));
    }
}

/// The policies that it names for the denial.
fn isolating(flow: &Value) -> Vec<&str> {
    let policies = field(flow, "/ingress_denied_by").as_array();
    let mut names: Vec<_> =
        policies.into_iter().flatten().filter_map(|policy| policy["name"].as_str()).collect();
    names.sort_unstable();
    names
}

fn any(flows: &[Value], wanted: impl Fn(&Value) -> bool) -> bool {
    flows.iter().any(wanted)
}

/// This moment, as `--since` takes it.
fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]).output();
    let date = date.expect("date can be run");
    String::from_utf8(date.stdout).expect("a date is text").trim().to_owned()
}
