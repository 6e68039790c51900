//! What an agent remembers outlives it, and what is missing is told. Needs root.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use palomar_lab::{Lab, Place, Topology};
use serde_json::Value;
use support::{Agent, Options, connect, echo, field, names_pod, np_demo};

/// What happens to a file.
type Damage = fn(&mut Vec<u8>);

/// The answer to `palomar observe` for an hour: flows, and lost events.
fn hour(agent: &Agent) -> (Vec<Value>, Vec<Value>) {
    let text = agent.palomar(&["observe", "--since", "1h", "-o", "json"]);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (flows, others): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("flow").is_some());
    let take = |lines: Vec<Value>, key: &str| lines.into_iter().map(|line| line[key].clone()).collect();
    (take(flows, "flow"), take(others, "lost_events"))
}

/// Connects, and waits until the agent tells of both directions if it runs; gives the client's port.
fn visit(client: &Place, web: &Place, agent: Option<&Agent>) -> u64 {
    let (mut connection, port) = connect(client, web).unwrap();
    connection.ping(support::LONG).unwrap();
    if let Some(agent) = agent {
        agent.wait_for_flows("the connection", &["--port", &port.to_string()], |flows| {
            (flows.len() >= 2).then_some(())
        });
    }
    port.into()
}

/// Where the flows of a connection stand.
fn places(flows: &[Value], port: u64) -> Vec<usize> {
    let is = |flow: &Value| {
        [field(flow, "/l4/TCP/source_port"), field(flow, "/l4/TCP/destination_port")].contains(&&port.into())
    };
    (0..flows.len()).filter(|at| is(&flows[*at])).collect()
}

/// When the flows of a connection were that an agent tells of now: one may yet come when the connection is closed.
fn told_now(agent: &Agent, port: u64) -> Vec<Value> {
    let (flows, _) = hour(agent);
    let times: Vec<Value> = places(&flows, port).into_iter().map(|at| flows[at]["time"].clone()).collect();
    assert!(times.len() >= 2, "{flows:?}");
    times
}

fn holds_any(flows: &[Value], times: &[Value]) -> bool {
    flows.iter().any(|flow| times.contains(&flow["time"]))
}

fn uuids(flows: &[Value]) -> Vec<&str> {
    flows.iter().map(|flow| field(flow, "/uuid").as_str().unwrap()).collect()
}

fn gaps(agent: &Agent) -> String {
    let status = agent.palomar(&["status"]);
    status.split_once("Gaps: ").map_or(String::new(), |(_, gaps)| gaps.to_owned())
}

fn stage(name: &str) -> (Lab, Agent) {
    let lab = np_demo(name, Topology::Routed);
    let agent = Agent::start(&lab, Options::mode("audit"));
    agent.wait_for_endpoint("np-demo/web", "known", |e| e["is_pod"] == true);
    (lab, agent)
}

#[test]
fn an_hour_spans_a_restart_with_each_flow_once_in_order_under_its_uuid() {
    let (lab, mut agent) = stage("brrestart");
    let [web, frontend, other] =
        ["web", "frontend", "other"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
    let _servers = echo(web);
    let first = visit(other, web, Some(&agent));
    let (before, _) = hour(&agent);

    // the pod of the first visit goes for good while nobody looks
    assert!(agent.terminate().success(), "{}", agent.log());
    assert!(agent.log().contains("saved the flows for the next agent"), "{}", agent.log());
    let away = visit(frontend, web, None);
    fs::remove_file(agent.manifests.join("lab-pod-np-demo-other.yaml")).unwrap();
    agent.start_again();
    assert!(agent.log().contains("restored the flows of an earlier agent"), "{}", agent.log());
    let newest = visit(frontend, web, Some(&agent));

    let (after, missing) = hour(&agent);
    assert_eq!(after[..before.len()], before[..], "they are as they were, names and uuids as well");
    let [first, away, newest] = [first, away, newest].map(|port| places(&after, port));
    for (what, visit) in [("before", &first), ("away", &away), ("after", &newest)] {
        assert!(visit.len() >= 2, "{what}: {visit:?} of {}", after.len());
    }
    assert!(first.last() < away.first() && away.last() < newest.first(), "{first:?} {away:?} {newest:?}");
    assert!(names_pod(&after[first[0]], "other", "web"), "{}", after[first[0]]);
    assert_eq!(uuids(&after).iter().collect::<BTreeSet<_>>().len(), after.len(), "each once");
    assert_eq!((missing.as_slice(), gaps(&agent).as_str()), (&[][..], ""), "nothing is missing");

    for (flow, uuid) in before.iter().zip(uuids(&before)) {
        assert_eq!(agent.flows(&["--uuid", uuid]), std::slice::from_ref(flow));
    }
    assert!(agent.palomar(&["list", "namespaces"]).contains("np-demo"));

    // and once more, with what the second agent added
    agent.restart();
    let (again, _) = hour(&agent);
    assert_eq!(again[..after.len()], after[..]);
}

#[test]
fn time_of_which_flows_are_missing_is_a_gap() {
    let (lab, mut agent) = stage("brgap");
    let [web, frontend] = ["web", "frontend"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
    let _servers = echo(web);
    let first = visit(frontend, web, Some(&agent));
    let (before, _) = hour(&agent);

    assert!(agent.terminate().success(), "{}", agent.log());
    assert!(agent.tool("clean").status.success());
    let unseen = visit(frontend, web, None);
    agent.start_again();
    let told = gaps(&agent);
    assert!(told.starts_with("1\n") && told.contains("no agent and no programs"), "{told}");
    let (flows, lost) = hour(&agent);
    assert_eq!(flows[..before.len()], before[..]);
    assert!(places(&flows, unseen).is_empty());
    let [gap] = lost.as_slice() else { panic!("{lost:?}") };
    assert!(gap["first"].is_string() && gap["last"].is_string(), "{gap}");
    assert!(gap.get("num_events_lost").is_none_or(|count| count == "0"), "{gap}");
    let compact = agent.palomar(&["observe", "--since", "1h"]);
    assert!(compact.contains("EVENTS LOST") && compact.contains(") 0 (first: "), "{compact}");

    // a crash takes what this agent saw, and not what it was given
    let crashed = visit(frontend, web, Some(&agent));
    let crashed = told_now(&agent, crashed);
    agent.kill9();
    agent.start_again();
    let told = gaps(&agent);
    assert!(told.starts_with("1\n") && told.contains("flows that an agent saw were not saved"), "{told}");
    let (flows, lost) = hour(&agent);
    assert!(!holds_any(&flows, &crashed), "they were not saved");
    let names = |flows: &[Value]| {
        flows.iter().map(|flow| (flow["time"].clone(), flow["source"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&flows[..before.len()]), names(&before));
    assert_eq!(lost.len(), 1, "{lost:?}");

    // and so does an agent that saves elsewhere
    assert!(agent.terminate().success(), "{}", agent.log());
    let other = agent.state.with_file_name("elsewhere");
    let own = std::mem::replace(&mut agent.state, other);
    agent.start_again();
    let elsewhere = visit(frontend, web, Some(&agent));
    let elsewhere = told_now(&agent, elsewhere);
    assert!(agent.terminate().success(), "{}", agent.log());
    agent.state = own;
    agent.start_again();
    let told = gaps(&agent);
    assert!(told.starts_with("2\n") && told.matches("were not saved").count() == 2, "{told}");
    let (flows, _) = hour(&agent);
    assert!(!places(&flows, first).is_empty() && !holds_any(&flows, &elsewhere));

    // and what is in a ring buffer that this agent cannot read, as after an upgrade of the programs
    assert!(agent.terminate().success(), "{}", agent.log());
    let events = agent.pins().into_iter().find(|pin| pin.ends_with("events")).unwrap();
    fs::remove_file(agent.bpf.join(events)).unwrap();
    agent.start_again();
    let told = gaps(&agent);
    assert!(told.starts_with("3\n") && told.contains("replaced by those of another version"), "{told}");

    // gaps are remembered as flows are
    agent.restart();
    assert_eq!(gaps(&agent), told);
    assert!(!places(&hour(&agent).0, first).is_empty());
}

#[test]
fn a_state_file_that_is_damaged_or_of_another_version_is_set_aside_and_the_agent_serves() {
    let (lab, mut agent) = stage("brdamage");
    let [web, frontend] = ["web", "frontend"].map(|pod| lab.pod(&format!("np-demo/{pod}")).unwrap());
    let _servers = echo(web);
    let saved = agent.state.join("flows.saved");
    let table: [(&str, Damage, &str, &str); 3] = [
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2), "flows.damaged", "it is truncated"),
        ("another version", |bytes| bytes[8] = 2, "flows.version-2", "it is of version 2"),
        ("empty", Vec::clear, "flows.damaged", "it is truncated"),
    ];
    for (what, damage, aside, why) in table {
        let port = visit(frontend, web, Some(&agent));
        assert!(agent.terminate().success(), "{what}: {}", agent.log());
        let mut bytes = fs::read(&saved).unwrap();
        damage(&mut bytes);
        fs::write(&saved, &bytes).unwrap();
        agent.start_again();
        let log = agent.log();
        for text in ["flows.saved", aside, "version 1", why] {
            assert!(log.contains(text), "{what}: no {text:?} in\n{log}");
        }
        assert_eq!(fs::read(agent.state.join(aside)).unwrap(), bytes, "{what}: it is kept");
        let (flows, lost) = hour(&agent);
        assert!(places(&flows, port).is_empty(), "{what}");
        assert_eq!(lost.len(), 1, "{what}: {lost:?}");
        let told = gaps(&agent);
        assert!(told.contains("saved flows could not be read"), "{what}: {told}");
    }
}
