//! Commands beside flows: events, peers, definitions, completions, manual pages, old habits.

use crate::server::{Stub, flow_response};
use crate::support::{fixture, palomar};
use palomar_flow::json;
use palomar_proto::observer::{GetAgentEventsRequest, GetAgentEventsResponse, ServerStatusResponse};
use prost_types::Timestamp;

#[tokio::test]
async fn requests_for_events_have_the_numbers_that_hubble_sends() {
    let stub = Stub { agent_events: Ok(Vec::new()), ..Stub::default() };
    let address = stub.serve().to_string();
    let now = crate::support::now().timestamp();
    let request = GetAgentEventsRequest::default;
    let ago = |seconds| Some(Timestamp { seconds: now - seconds, nanos: 0 });
    let table: [(&[&str], GetAgentEventsRequest); 7] = [
        (&[], GetAgentEventsRequest { number: 20, ..request() }),
        (&["-f"], GetAgentEventsRequest { number: 20, follow: true, ..request() }),
        (&["--last", "7"], GetAgentEventsRequest { number: 7, ..request() }),
        (&["--first", "7"], GetAgentEventsRequest { number: 7, first: true, ..request() }),
        (&["--all"], GetAgentEventsRequest { number: u64::MAX, ..request() }),
        (&["--since", "1d"], GetAgentEventsRequest { since: ago(86_400), ..request() }),
        (&["--until", "1m", "-o", "json"], GetAgentEventsRequest { until: ago(60), ..request() }),
    ];
    for (words, wanted) in table {
        let line = [&["observe", "agent-events", "--server", &address], words].concat();
        let outcome = palomar(&line).run_async().await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{words:?}");
        assert_eq!(stub.asked_for_events.lock().unwrap().pop(), Some(wanted), "{words:?}");
    }
}

#[tokio::test]
async fn the_last_events_since_a_time_are_the_last_from_either_kind_of_server() {
    let events: Vec<GetAgentEventsResponse> =
        ["a", "b", "c"].map(|name| GetAgentEventsResponse { node_name: name.to_owned(), ..event() }).to_vec();
    for (version, number) in [("cilium v1.19.4", 0), ("Palomar 0.1.0, Hubble 1.19.4", 2)] {
        let status = ServerStatusResponse { version: version.to_owned(), ..Default::default() };
        let shown = if number == 0 { events.clone() } else { events[1..].to_vec() };
        let stub = Stub { status, agent_events: Ok(shown), ..Stub::default() };
        let address = stub.serve().to_string();
        let line =
            ["observe", "agent-events", "--server", &address, "--since", "5m", "--last", "2", "-o", "json"];
        let outcome = palomar(&line).run_async().await;
        assert_eq!(stub.asked_for_events.lock().unwrap()[0].number, number, "{version}");
        let nodes: Vec<&str> = outcome.out.lines().map(|line| line.split('"').nth(5).unwrap()).collect();
        assert_eq!(nodes, ["b", "c"], "{version}");
    }
}

fn event() -> GetAgentEventsResponse {
    GetAgentEventsResponse {
        agent_event: Some(palomar_proto::flow::AgentEvent::default()),
        ..Default::default()
    }
}

#[tokio::test]
async fn events_of_old_scripts_are_bare_and_a_response_without_event_is_a_failure() {
    let stub = Stub { agent_events: Ok(vec![event(), GetAgentEventsResponse::default()]), ..Stub::default() };
    let address = stub.serve().to_string();
    let line = ["observe", "agent-events", "--server", &address, "-o", "json"];
    let outcome = palomar(&line).variable("HUBBLE_COMPAT", "legacy-json-output").run_async().await;
    assert_eq!(
        (outcome.out.as_str(), outcome.err.as_str(), outcome.code),
        ("{}\n", "not an agent event\n", 1)
    );
}

#[tokio::test]
async fn definitions_are_printed_once_each_as_go_prints_them() {
    let address = Stub::default().serve().to_string();
    let outcome = palomar(&["reflect", "--server", &address]).run_async().await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    let lines: Vec<&str> = outcome.out.lines().collect();
    let names: Vec<&str> = lines.iter().map(|line| line.split('"').nth(3).unwrap()).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "{names:?}");
    for name in
        ["observer/observer.proto", "flow/flow.proto", "peer/peer.proto", "google/protobuf/timestamp.proto"]
    {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let peer = lines.iter().find(|line| line.starts_with("{\"name\":\"peer/peer.proto\"")).unwrap();
    let request = "\"message_type\":[{\"name\":\"NotifyRequest\"},{\"name\":\"ChangeNotification\",\"field\":[{\"name\":\
                   \"name\",\"number\":1,\"label\":1,\"type\":9,\"json_name\":\"name\"}";
    assert!(peer.contains(request), "{peer}");
    let service = "\"service\":[{\"name\":\"Peer\",\"method\":[{\"name\":\"Notify\",\"input_type\":\".peer.NotifyRequest\",\
                   \"output_type\":\".peer.ChangeNotification\",\"server_streaming\":true}]}]";
    assert!(peer.contains(service), "{peer}");
}

#[test]
fn shells_are_offered_commands_flags_and_values() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let outcome = palomar(&["completion", shell]).run();
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{shell}");
        for part in ["agent-events", "to-pod", "policy-verdict", "tls-ca-cert-files"] {
            assert!(outcome.out.contains(part), "{shell}: {part}");
        }
        for hidden in ["reflect", "peers"] {
            assert!(!outcome.out.contains(hidden), "{shell}: {hidden}");
        }
    }
    let choices = "bash, zsh, fish, powershell, elvish\n";
    let none = palomar(&["completion"]).run();
    assert_eq!((none.err, none.code), (format!("missing argument: a shell; choose from: {choices}"), 1));
    let unknown = palomar(&["completion", "tcsh"]).run();
    assert_eq!((unknown.err, unknown.code), (format!("unknown shell: tcsh; choose from: {choices}"), 1));
}

#[test]
fn bash_understands_its_completions() {
    let script = palomar(&["completion", "bash"]).run().out;
    let check = format!(
        "{script}\nCOMP_WORDS=(palomar observe -o js); COMP_CWORD=3; _palomar palomar js -o; echo \"${{COMPREPLY[*]}}\""
    );
    let bash = std::process::Command::new("bash").args(["-c", &check]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "json jsonpb", "{bash:?}");
}

#[test]
fn every_command_has_its_page_of_the_manual() {
    let table: [(&[&str], &str, &str); 3] = [
        (&[], ".TH PALOMAR 1  \"palomar ", "Watch the flows of pods"),
        (&["observe"], ".TH PALOMAR-OBSERVE 1", "\\-\\-to\\-pod"),
        (&["config", "set"], ".TH PALOMAR-CONFIG-SET 1", "Write a setting"),
    ];
    for (words, title, part) in table {
        let outcome = palomar(&[&["man"], words].concat()).run();
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{words:?}");
        assert!(outcome.out.contains(title) && outcome.out.contains(part), "{words:?}: {}", outcome.out);
    }
    let unknown = palomar(&["man", "observe", "bogus"]).run();
    assert_eq!(unknown.err, "unknown command \"bogus\" for \"palomar observe\"\n");
}

#[tokio::test]
async fn words_that_hubble_overlooks_are_overlooked() {
    let stub = Stub { flows: Ok(vec![flow_response("seen")]), ..Stub::default() };
    let address = stub.serve().to_string();
    for line in [
        "observe --server A",
        "--server A observe",
        "observe flows --server A",
        "observe bogus --server A more",
        "observe --server A flows",
        "observe --last 5 flows --server=A",
    ] {
        let line = line.replace('A', &address);
        let outcome = palomar(&line.split(' ').collect::<Vec<_>>()).run_async().await;
        assert!(outcome.code == 0 && outcome.out.contains("seen"), "{line}: {}", outcome.err);
    }
    for line in ["status extra", "list nodes extra", "version extra"] {
        let line = format!("{line} --server {address}");
        let outcome = palomar(&line.split(' ').collect::<Vec<_>>()).run_async().await;
        assert!(!outcome.err.contains("extra"), "{line}: {}", outcome.err);
    }
    let version = palomar(&["version"]).run_async().await;
    for flag in ["-v", "--version"] {
        assert_eq!(palomar(&[flag]).run_async().await, version);
    }
}

/// Events in JSON lines are what a server sent, so that they can be kept and compared.
#[test]
fn the_json_of_events_reads_as_it_was() {
    let recorded = fixture("server-outputs.txt");
    let lines = recorded.lines().filter(|line| line.starts_with("{\"agent_event\""));
    let mut events = 0;
    for line in lines {
        let event: GetAgentEventsResponse = json::parse(line).unwrap().message;
        assert_eq!(json::to_string(&event).unwrap(), line);
        events += 1;
    }
    assert_eq!(events, 13);
}
