//! The load server: the agent's API over flows that are made up.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{FlowServer, field};

/// A flow without what is new in every run.
fn lasting(mut flow: Value) -> Value {
    for field in ["time", "uuid"] {
        assert!(flow.as_object_mut().unwrap().remove(field).is_some(), "{flow}");
    }
    flow
}

fn lasting_flows(args: &[&str]) -> Vec<Value> {
    FlowServer::start(args).flows(&["--all"]).into_iter().map(lasting).collect()
}

#[test]
fn the_newest_flows_are_served_and_a_seed_gives_the_same_ones_each_time() {
    let args = ["--count", "400", "--capacity", "255", "--seed"];
    let of_seed = |seed| lasting_flows(&[&args[..], &[seed]].concat());
    let flows = of_seed("7");
    assert_eq!(flows.len(), 255);
    assert_eq!(flows, of_seed("7"));
    assert_ne!(flows, of_seed("8"));
    for flow in &flows {
        assert_eq!(field(flow, "/node_name"), "sample/worker-1", "{flow}");
        assert_eq!(field(flow, "/emitter/name"), "Palomar");
    }
}

#[test]
fn everything_around_the_flows_is_told_as_well() {
    let server = FlowServer::start_tcp(&["--count", "2000", "--capacity", "4095"]);
    assert!(!server.place.ends_with(":0"), "{}", server.said);
    assert!(server.said.contains("serving 2000 flows of 2000 written"), "{}", server.said);
    let status = server.ask(&["status"]);
    assert!(
        status.contains("Current/Max Flows: 2,000/4,095") && status.contains("node worker-1"),
        "{status}"
    );
    assert!(server.ask(&["list", "namespaces"]).lines().any(|line| line.starts_with("kube-system")));
    assert_eq!(server.ask(&["endpoint", "list"]).lines().count(), 42, "a header and 41 pods");
    assert!(server.ask(&["identity", "get", "16777217"]).contains("cidr:198.51.100.0/24"));
    let dropped = server.flows(&["--all", "--verdict", "DROPPED"]).len();
    assert!((150..=250).contains(&dropped), "{dropped}");
}

fn time(flow: &Value) -> String {
    field(flow, "/time").as_str().unwrap().to_owned()
}

#[test]
fn flows_go_on_at_their_pace_until_the_end_and_the_end_leaves_nothing() {
    let server = FlowServer::start(&["--count", "0", "--rate", "400"]);
    let mut follower =
        server.palomar(&["observe", "-f", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let flows: Vec<Value> = lines
        .take(200)
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["flow"].take())
        .collect();
    let times: Vec<String> = flows.iter().map(time).collect();
    assert!(times.is_sorted(), "the clock stood still or went back: {times:?}");
    assert_ne!(times[0], times[199]);
    follower.kill().unwrap();
    follower.wait().unwrap();
    let socket = server.socket().unwrap();
    assert!(socket.exists());
    let last = server.interrupt();
    assert!(last.starts_with("wrote ") && last.contains(" a second of 400; "), "{last}");
    assert!(!socket.exists());
}

#[test]
fn what_it_is_told_wrong_is_refused_with_the_valid_choices() {
    let here = "unix:///tmp/never-made.sock";
    let file = tempfile::NamedTempFile::new().unwrap();
    let not_a_socket = format!("unix://{}", file.path().display());
    let table: [(&[&str], &str); 8] = [
        (&[], "--listen <WHERE>"),
        (&["--listen", "localhost:4245"], "unix:///path, ADDRESS:PORT"),
        (&["--listen", "unix://"], "names no socket file"),
        (&["--listen", &not_a_socket], "is there and is not a socket"),
        (&["--listen", "192.0.2.77:4245"], "cannot listen on 192.0.2.77:4245"),
        (&["--listen", here, "--capacity", "4096"], "the nearest valid ones are 4095 and 8191"),
        (&["--listen", here, "--count", "many"], "--count"),
        (&["--listen", here, "--rate", "10000001"], "10000000"),
    ];
    for (args, why) in table {
        let output = FlowServer::command(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(why), "{args:?}: {text}");
    }
}
