//! What commands print of a server's answers, row by row as Hubble's CLI did.

use crate::differences::Differences;
use crate::server::Stub;
use crate::support::{fixture, palomar};
use palomar_flow::json::{self, JsonMessage};
use palomar_proto::observer::{Namespace, Node, ServerStatusResponse, Tls};
use palomar_proto::peer::{self, ChangeNotification};
use tonic::{Code, Status};

/// Hubble forgets the line end after the rule between two events; we do not.
fn with_rules_on_their_own_line(recorded: &str) -> String {
    recorded.replace("------------  TIMESTAMP", "------------\n  TIMESTAMP")
}

fn status(num_flows: u64, max_flows: u64) -> ServerStatusResponse {
    ServerStatusResponse { num_flows, max_flows, ..ServerStatusResponse::default() }
}

/// A warning without the time of the run.
fn without_time(line: &str) -> &str {
    line.strip_prefix("time=").and_then(|line| line.split_once(' ')).map_or(line, |(_, rest)| rest)
}

/// The servers behind the recorded ports.
fn stub(port: &str) -> Stub {
    let relay = ServerStatusResponse {
        seen_flows: 1_234_567,
        uptime_ns: 93_784_500_000_000,
        num_connected_nodes: Some(3),
        num_unavailable_nodes: Some(12),
        unavailable_nodes: ["n3", "n1", "n2"].map(str::to_owned).to_vec(),
        version: "hubble-relay v1.19.4+gabc".to_owned(),
        flows_rate: 42.126,
        ..status(8_000, 12_285)
    };
    let agent = ServerStatusResponse {
        seen_flows: 1_234_567,
        uptime_ns: 93_784_000_000_000,
        version: "cilium v1.19.4+gabc".to_owned(),
        ..status(4_095, 4_095)
    };
    match port {
        "14245" => Stub { status: relay, nodes: Ok(nodes()), namespaces: namespaces(), ..Stub::default() },
        "14246" => Stub { status: agent, ..Stub::default() },
        "14247" | "relay" => Stub::default(),
        "14248" => Stub { health: Ok(2), ..Stub::default() },
        "14249" => Stub { health: Err(Status::not_found("unknown service")), ..Stub::default() },
        "14250" => Stub { flows: Err(Status::unknown("plain go error text")), ..Stub::default() },
        "14251" => Stub {
            flows: Err(Status::invalid_argument("first cannot be specified with follow")),
            ..Stub::default()
        },
        "versions" => Stub {
            headers: vec![("hubble-relay-version", "1.99.0"), ("hubble-server-version", "1.20.0")],
            ..Stub::default()
        },
        "peers" => Stub { peers: peers(), ..Stub::default() },
        "events" => Stub {
            agent_events: Ok(recorded_events("observe agent-events -o json")),
            debug_events: Ok(recorded_events("observe debug-events -o json")),
            ..Stub::default()
        },
        "14252" => Stub { flows: Err(Status::new(Code::Unimplemented, "nope")), ..Stub::default() },
        _ => panic!("no server was recorded on port {port}"),
    }
}

fn nodes() -> Vec<Node> {
    let node = |name: &str, state| Node { name: name.to_owned(), state, ..Node::default() };
    vec![
        Node {
            version: "cilium v1.19.4+gabc".to_owned(),
            address: "10.0.0.2:4244".to_owned(),
            tls: Some(Tls { enabled: true, server_name: "zeta.default.hubble-grpc.cilium.io".to_owned() }),
            uptime_ns: 3_723_000_000_000,
            num_flows: 4_095,
            max_flows: 4_095,
            seen_flows: 100_000,
            ..node("zeta", 1)
        },
        Node { address: "10.0.0.1:4244".to_owned(), tls: Some(Tls::default()), ..node("alpha", 2) },
        node("gone", 3),
        Node { uptime_ns: 400_000_000, num_flows: 5, max_flows: 4_095, ..node("beta", 4) },
        node("unk", 0),
    ]
}

fn peers() -> Vec<ChangeNotification> {
    let peer = |kind, address: &str, name: &str, server_name: Option<&str>| ChangeNotification {
        name: name.to_owned(),
        address: address.to_owned(),
        r#type: kind,
        tls: server_name.map(|name| peer::Tls { server_name: name.to_owned() }),
    };
    vec![
        peer(1, "10.0.0.1:4244", "k1", Some("k1.default.hubble-grpc.cilium.io")),
        peer(2, "10.0.0.2", "prod/k2", None),
    ]
}

/// The events of a recorded answer in JSON.
fn recorded_events<M: JsonMessage>(line: &str) -> Vec<M> {
    let recorded = fixture("server-outputs.txt");
    let answer = recorded.split(&format!("$ {line}\n")).nth(1).unwrap().split("[rc=").next().unwrap();
    answer.lines().map(|line| json::parse(line).unwrap().message).collect()
}

fn namespaces() -> Vec<Namespace> {
    let namespace = |cluster: &str, namespace: &str| Namespace {
        cluster: cluster.to_owned(),
        namespace: namespace.to_owned(),
    };
    vec![namespace("", "default"), namespace("prod", "shop")]
}

/// Port and words of a recorded line, whose forms differ.
fn command(line: &str) -> (String, Vec<String>) {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if let Some(rest) = line.strip_prefix("hubble --server 127.0.0.1:") {
        let (port, rest) = rest.split_once(' ').unwrap();
        return (port.to_owned(), words(rest));
    }
    if let Some(port) = line.strip_prefix("observe @") {
        return (port.to_owned(), words("observe"));
    }
    if let Some(line) = line.strip_suffix(" closed port") {
        return ("closed".to_owned(), words(line));
    }
    if let Some(line) = line.strip_suffix(" relay") {
        return ("relay".to_owned(), words(line));
    }
    if let Some(line) = line.strip_suffix(" (hdr versions)") {
        return ("versions".to_owned(), words(line));
    }
    if line == "watch peers" {
        return ("peers".to_owned(), words(line));
    }
    if line.contains("-events") {
        // the recorder left out a -o
        let line = line.replace(" dict", " -o dict").replace(" table", " -o table").replace("-o -o", "-o");
        return ("events".to_owned(), words(&line));
    }
    match line.strip_suffix(" (agent)") {
        Some(line) => ("14246".to_owned(), words(line)),
        None => ("14245".to_owned(), words(line)),
    }
}

#[tokio::test]
async fn every_recorded_command_prints_the_same() {
    let differences = Differences::of("server-outputs.txt");
    let rule = "the rule between two events";
    let recorded = differences.ruled(rule, &fixture("server-outputs.txt"), with_rules_on_their_own_line);
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in format!("\n{recorded}").split("\n$ ").skip(1) {
        let (line, wanted) = row.split_once('\n').unwrap();
        rows += 1;
        let (port, mut words) = command(line);
        let address =
            if port == "closed" { "127.0.0.1:1".to_owned() } else { stub(&port).serve().to_string() };
        words.extend(["--server".to_owned(), address.clone()]);
        let outcome = palomar(&words).run_async().await;
        let actual = format!("{}{}[rc={}]", outcome.out, outcome.err, outcome.code);
        let actual = if port.starts_with('1') {
            actual.replace(&address, &format!("127.0.0.1:{port}"))
        } else {
            actual
        };
        // how long one of the commands took was recorded as well
        let timed = |line: &&str| {
            ["", "real\t", "user\t", "sys\t"]
                .iter()
                .any(|start| if start.is_empty() { line.is_empty() } else { line.starts_with(start) })
        };
        let wanted: Vec<&str> = if line == "status closed port" {
            wanted.lines().filter(|line| !timed(line)).collect()
        } else {
            wanted.trim_end_matches('\n').lines().collect()
        };
        // of some answers only the beginning was recorded
        let is_whole = wanted.last().is_some_and(|line| line.starts_with("[rc="));
        let wanted: Vec<&str> = wanted.into_iter().map(without_time).collect();
        let actual: Vec<&str> =
            actual.lines().map(without_time).take(if is_whole { usize::MAX } else { wanted.len() }).collect();
        if !differences.is_as_listed(line, actual == wanted) {
            let (wanted, actual) = (wanted.join("\n"), actual.join("\n"));
            wrong.push(format!("{line}\n--- wanted\n{wanted}\n--- got\n{actual}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(rows, 49);
    differences.end();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_reason() {
    let dialing = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial";
    let table = [
        ("127.0.0.1:1", "tcp 127.0.0.1:1: connect: connection refused\"\n"),
        ("[::1]:1", "tcp [::1]:1: connect: connection refused\"\n"),
        ("unix:///nonexistent/p.sock", "unix /nonexistent/p.sock: connect: no such file or directory\"\n"),
        ("no-such-host.invalid:80", "tcp: lookup no-such-host.invalid: "),
    ];
    for (server, wanted) in table {
        for (command, prefix) in [("status", "failed getting status: "), ("observe", ""), ("list nodes", "")]
        {
            let words = [command, "--server", server].join(" ");
            let words: Vec<&str> = words.split(' ').collect();
            let outcome = palomar(&words).run_async().await;
            assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
            let wanted = format!("{prefix}{dialing} {wanted}");
            assert!(outcome.err.starts_with(&wanted), "{command} of {server}: {}", outcome.err);
        }
    }
}

#[tokio::test]
async fn newer_servers_are_warned_of_on_stderr() {
    let headers = vec![("hubble-relay-version", "1.99.0"), ("hubble-server-version", "1.20.0")];
    let address = Stub { headers, ..Stub::default() }.serve().to_string();
    let outcome = palomar(&["observe", "--server", &address]).run_async().await;
    let lines: Vec<&str> = outcome.err.lines().collect();
    assert_eq!((outcome.code, lines.len()), (0, 2), "{lines:?}");
    assert!(lines[0].contains("level=WARN") && lines[0].contains("hubble-relay-version=1.99.0"), "{lines:?}");
    assert!(lines[1].contains("hubble-server-version=1.20.0"), "{lines:?}");
}

#[tokio::test]
async fn the_server_comes_from_the_flag_then_our_variable_then_hubbles() {
    let address = Stub::default().serve().to_string();
    let wrong = "127.0.0.1:1";
    let table = [
        ("the flag", palomar(&["status", "--server", &address]).variable("PALOMAR_SERVER", wrong)),
        ("ours", palomar(&["status"]).variable("PALOMAR_SERVER", &address).variable("HUBBLE_SERVER", wrong)),
        ("Hubble's", palomar(&["status"]).variable("HUBBLE_SERVER", &address)),
        (
            "ours is empty",
            palomar(&["status"]).variable("PALOMAR_SERVER", "").variable("HUBBLE_SERVER", &address),
        ),
    ];
    for (what, command) in table {
        let outcome = command.run_async().await;
        assert_eq!(outcome.code, 0, "{what}: {}", outcome.err);
    }
}
