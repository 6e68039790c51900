//! `palomar connections`: the request that flags make, and what is printed of the answer.

use std::sync::Arc;

use palomar_proto::flow::{FlowFilter, Policy};
use palomar_proto::palomar::v1::*;

use crate::server::{Agent, Stub};
use crate::support::{Outcome, assert_same, fixture, fixture_path, palomar};

const SECOND: u64 = 1_000_000_000;

async fn run(stub: &Stub, words: &[&str]) -> Outcome {
    let address = stub.serve().to_string();
    let outcome = palomar(&[words, &["--server", &address]].concat()).run_async().await;
    let shown = |text: String| text.replace(&address, "SERVER");
    Outcome { code: outcome.code, out: shown(outcome.out), err: shown(outcome.err) }
}

fn bare(address: &str, port: u32, identity: u32) -> ConnectionEnd {
    ConnectionEnd { address: address.into(), port, identity, ..ConnectionEnd::default() }
}

fn side(interface: &str, state: ConnectionState, ways: [Option<Traffic>; 2]) -> ConnectionSide {
    let [sent, received] = ways;
    ConnectionSide {
        interface: interface.into(),
        state: state.into(),
        sent,
        received,
        ..ConnectionSide::default()
    }
}

fn policies(names: &[&str]) -> Vec<Policy> {
    let policy = |name: &&str| Policy {
        name: name.to_string(),
        namespace: "shop".into(),
        kind: "NetworkPolicy".into(),
        revision: 3,
        ..Policy::default()
    };
    names.iter().map(policy).collect()
}

fn pod(name: &str, address: &str, port: u32, identity: u32) -> ConnectionEnd {
    ConnectionEnd { namespace: "shop".into(), pod_name: name.into(), ..bare(address, port, identity) }
}

/// An open connection of two pods, allowed at both.
fn held() -> Connection {
    let (sent, received) =
        (Traffic { packets: 1_200, bytes: 3 << 20 }, Traffic { packets: 9_000, bytes: 5 << 30 });
    let side = |interface, names: &[&str]| {
        let side = side(interface, ConnectionState::Established, [Some(sent), Some(received)]);
        Some(ConnectionSide { policies: policies(names), ..side })
    };
    Connection {
        source: Some(pod("front", "10.0.0.8", 54_530, 26_159)),
        destination: Some(pod("web", "10.0.0.7", 8080, 60_437)),
        is_oriented: true,
        protocol: 6,
        state: ConnectionState::Established.into(),
        age_ns: 7_500 * SECOND,
        idle_ns: 350_000_000,
        sent: Some(sent),
        received: Some(received),
        arrival: Arrival::Arrived.into(),
        source_side: side("veth8", &["front-out"]),
        destination_side: side("veth7", &["web-in", "web-in-too"]),
        ..Connection::default()
    }
}

/// One of each kind.
fn connections() -> Vec<Connection> {
    let front = |port| Some(pod("front", "10.0.0.8", port, 26_159));
    let traffic = |packets, bytes| Some(Traffic { packets, bytes });
    let open = ConnectionState::Established;
    let held = held();
    let vanished = Connection {
        source: front(54_531),
        state: ConnectionState::SynUnanswered.into(),
        age_ns: 45 * SECOND,
        idle_ns: 14 * SECOND,
        sent: traffic(6, 444),
        received: traffic(0, 0),
        unanswered_syns: 6,
        arrival: Arrival::Missing.into(),
        source_side: Some(side("veth8", ConnectionState::SynUnanswered, [traffic(6, 444), traffic(0, 0)])),
        destination_side: None,
        ..held.clone()
    };
    let denied_there =
        Connection { source: front(54_532), arrival: Arrival::Denied.into(), ..vanished.clone() };
    let answer_lost = Connection {
        source: front(54_533),
        unanswered_syns: 1,
        sent: traffic(1, 74),
        arrival: Arrival::Arrived.into(),
        destination_side: Some(side("veth7", ConnectionState::Opening, [traffic(1, 74), traffic(2, 148)])),
        ..vanished.clone()
    };
    let closed_by_policy = Connection {
        source: front(54_534),
        age_ns: 3 * 86_400 * SECOND,
        source_side: Some(ConnectionSide {
            is_denied: true,
            policies: policies(&["default-deny"]),
            ..side("veth8", open, [None, None])
        }),
        destination_side: Some(ConnectionSide {
            is_audited: true,
            policies: policies(&["web-in"]),
            ..side("veth7", open, [None, None])
        }),
        ..held.clone()
    };
    let service = Connection {
        destination: Some(ConnectionEnd {
            service_namespace: "shop".into(),
            service_name: "web\x1b[2J".into(),
            ..bare("10.96.0.10", 80, 2)
        }),
        is_oriented: false,
        source_side: Some(ConnectionSide { is_audited: true, ..side("veth8", open, [None, None]) }),
        destination_side: None,
        arrival: 0,
        sent: traffic(2, 2_000),
        received: traffic(2, 1_500),
        ..held.clone()
    };
    let from_node = Connection {
        source: Some(ConnectionEnd { is_masked: true, ..bare("10.0.0.1", 4_000, 2) }),
        destination: Some(bare("fd00::9", 53, 3)),
        protocol: 17,
        state: ConnectionState::Unreplied.into(),
        sent: traffic(1, 80),
        received: traffic(0, 0),
        source_side: None,
        destination_side: Some(side("veth9", ConnectionState::Unreplied, [traffic(1, 80), traffic(0, 0)])),
        ..held.clone()
    };
    let ping = Connection {
        source: front(0),
        destination: Some(bare("203.0.113.9", 0, 16_777_219)),
        protocol: 1,
        state: ConnectionState::Active.into(),
        sent: traffic(4, 392),
        received: traffic(4, 392),
        destination_side: None,
        arrival: 0,
        ..held.clone()
    };
    vec![ping, from_node, service, closed_by_policy, answer_lost, denied_there, vanished, held]
}

fn totals() -> ConnectionTotals {
    ConnectionTotals { entries: 40, capacity: 131_072, over: 3, matching: 8, withheld: 0 }
}

fn answer(connections: &[Connection], totals: Option<ConnectionTotals>) -> Agent {
    let (one, other) = connections.split_at(connections.len() / 2);
    let part = |connections: &[Connection], totals| ListConnectionsResponse {
        connections: connections.to_vec(),
        totals,
    };
    Agent { connections: vec![part(one, None), part(other, None), part(&[], totals)], ..Agent::default() }
}

fn stub(agent: Agent) -> Stub {
    Stub { agent: Some(agent), ..Stub::default() }
}

/// What each command line prints, one after the other.
#[tokio::test]
async fn connections_are_printed_as_agreed() {
    let lines: [&[&str]; 5] = [
        &[],
        &["--print-policy-names", "--sort", "idle", "--reverse"],
        &["--numeric", "--exact", "--sort", "packets"],
        &["--limit", "2", "--sort", "age"],
        &["-o", "json"],
    ];
    let mut printed = String::new();
    for words in lines {
        let outcome =
            run(&stub(answer(&connections(), Some(totals()))), &[&["connections"], words].concat()).await;
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.err);
        let command = [&["$ palomar connections"], words].concat().join(" ");
        printed.extend([command.as_str(), "\n", &outcome.out, &outcome.err]);
    }
    if std::env::var_os("PALOMAR_BLESS").is_some() {
        std::fs::write(fixture_path("connections.txt"), &printed).unwrap();
    }
    assert_same("connections", &printed, &fixture("connections.txt"));
}

#[tokio::test]
async fn each_line_of_json_is_an_object_with_every_field() {
    let outcome = run(&stub(answer(&connections(), Some(totals()))), &["connections", "-o", "json"]).await;
    assert_eq!(outcome.out.lines().count(), 8);
    for line in outcome.out.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 13, "{line}");
    }
    let first: serde_json::Value = serde_json::from_str(outcome.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["source"]["pod_name"], "front");
    assert_eq!(first["source_side"]["policies"][0]["name"], "front-out");
}

#[tokio::test]
async fn flags_become_a_request() {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all =
        ListConnectionsRequest { rank_by: ConnectionRank::Bytes.into(), ..ListConnectionsRequest::default() };
    let filter = FlowFilter::default();
    let table: Vec<(&[&str], ListConnectionsRequest)> = vec![
        (&[], all.clone()),
        (
            &["--to-pod", "shop/web", "--port", "80", "--protocol", "tcp", "-4"],
            ListConnectionsRequest {
                whitelist: [("80", ""), ("", "80")]
                    .map(|(from, to)| FlowFilter {
                        destination_pod: texts(&["shop/web"]),
                        source_port: texts(&[from]).into_iter().filter(|port| !port.is_empty()).collect(),
                        destination_port: texts(&[to]).into_iter().filter(|port| !port.is_empty()).collect(),
                        protocol: texts(&["tcp"]),
                        ip_version: vec![1],
                        ..filter.clone()
                    })
                    .to_vec(),
                ..all.clone()
            },
        ),
        (
            &["--not", "--from-ip", "10.0.0.0/8"],
            ListConnectionsRequest {
                blacklist: vec![FlowFilter { source_ip: texts(&["10.0.0.0/8"]), ..filter }],
                ..all.clone()
            },
        ),
        (
            &["--unanswered", "--state", "unreplied,reset"],
            ListConnectionsRequest {
                states: [ConnectionState::Unreplied, ConnectionState::Reset, ConnectionState::SynUnanswered]
                    .map(Into::into)
                    .to_vec(),
                ..all.clone()
            },
        ),
        (
            &["--limit", "7", "--sort", "idle", "--reverse"],
            ListConnectionsRequest {
                limit: 7,
                rank_by: ConnectionRank::Idle.into(),
                least: true,
                ..all.clone()
            },
        ),
        (&["--limit", "10001"], all.clone()),
        (&["--limit", "0"], all),
    ];
    for (words, expected) in table {
        let agent = answer(&[], Some(totals()));
        let asked = Arc::clone(&agent.asked_for_connections);
        let outcome = run(&stub(agent), &[&["connections"], words].concat()).await;
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.err);
        assert_eq!(*asked.lock().unwrap(), [expected], "{words:?}");
    }
}

#[tokio::test]
async fn with_debug_the_request_is_told() {
    let outcome = run(&stub(answer(&[], Some(totals()))), &["connections", "--limit", "7", "-D"]).await;
    let told = outcome.err.lines().next().unwrap();
    assert!(
        told.contains("msg=\"asking for connections\" of=SERVER req=\"ListConnectionsRequest {"),
        "{told}"
    );
    assert!(told.contains("limit: 7"), "{told}");
}

#[tokio::test]
async fn what_is_not_on_the_list_is_told_beside_it() {
    let withheld = ConnectionTotals { matching: 5_000, withheld: 4_992, ..totals() };
    let none = ConnectionTotals { matching: 0, ..totals() };
    let table: [(&[&str], Vec<Connection>, ConnectionTotals, &str); 4] = [
        (&[], connections(), totals(), ""),
        (
            &["--limit", "8"],
            connections(),
            withheld,
            "4992 of 5000 connections are not shown; --limit 0 shows all\n",
        ),
        (
            &["--limit", "3"],
            connections(),
            totals(),
            "5 of 8 connections are not shown; --limit 0 shows all\n",
        ),
        (
            &["--unanswered"],
            Vec::new(),
            none,
            "no live connection matches; the kernel tracks 40 of at most 131072 entries, 3 of them are over\n",
        ),
    ];
    for (words, connections, totals, wanted) in table {
        let outcome =
            run(&stub(answer(&connections, Some(totals))), &[&["connections"], words].concat()).await;
        assert_eq!((outcome.err.as_str(), outcome.code), (wanted, 0), "{words:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_listed_is_an_error_that_says_why() {
    let table: [(&[&str], &str); 8] = [
        (&["-o", "yaml"], "unknown output format: yaml; choose from: table, json"),
        (&["--sort", "name"], "unknown sort key: name; choose from: bytes, packets, age, idle"),
        (
            &["--state", "open"],
            "unknown state: open; choose from: unanswered, opening, established, half-closed, closed, refused, reset, \
             unreplied, active",
        ),
        (
            &["--limit", "many"],
            "invalid argument \"many\" for \"--limit\" flag: strconv.ParseUint: parsing \"many\": invalid syntax",
        ),
        (&["--verdict", "DROPPED"], "unknown flag: --verdict"),
        (&["--not"], "trailing --not found in the arguments"),
        (&["extra"], "unexpected argument \"extra\""),
        (
            &["--pod", "a", "--ip", "10.0.0.1"],
            "invalid argument \"10.0.0.1\" for \"--ip\" flag: filters --ip and --pod cannot be combined",
        ),
    ];
    for (words, wanted) in table {
        let stub = stub(answer(&connections(), Some(totals())));
        let outcome = run(&stub, &[&["connections"], words].concat()).await;
        assert_eq!(
            (outcome.out.as_str(), outcome.err.trim_end(), outcome.code),
            ("", wanted, 1),
            "{words:?}"
        );
    }
    let stock = run(&Stub::default(), &["connections"]).await;
    assert_eq!(stock.err.trim_end(), "the server at SERVER is no Palomar agent, it cannot tell");
    assert_eq!((stock.out.as_str(), stock.code), ("", 1));
    let broken = run(&stub(answer(&connections(), None)), &["connections"]).await;
    assert_eq!(broken.err.trim_end(), "the answer of SERVER broke off: there may be more connections");
    assert_eq!((broken.out.lines().count(), broken.code), (9, 1), "what came is shown");
}
