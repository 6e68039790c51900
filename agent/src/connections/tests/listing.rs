//! What is listed: filters, states, limits, totals.

use palomar_proto::flow::{FlowFilter, IpVersion, Verdict, Workload};
use palomar_proto::palomar::v1;
use palomar_proto::palomar::v1::ConnectionRank::{self, Age, Bytes, Idle, Packets, Unspecified};

use super::fixture::*;
use crate::connections::{InvalidQuery, Query};

/// front calls web and db, web asks db by UDP over IPv6, somebody outside calls web, and two that are over.
fn node() -> Table {
    table(&[
        at(FRONT_VETH, (FRONT, 1000), (WEB, 80), TCP).open(),
        at(WEB_VETH, (WEB, 80), (FRONT, 1000), TCP).begun_by_peer().open(),
        at(FRONT_VETH, (FRONT, 1001), (DB, 5432), TCP),
        at(WEB_VETH, (WEB6, 2000), ("fd00::99", 53), UDP),
        at(WEB_VETH, (WEB, 80), (FAR, 3000), TCP).begun_by_peer().open(),
        at(FRONT_VETH, (FRONT, 1002), (VIP, 80), TCP).open().unoriented(),
        at(FRONT_VETH, (FRONT, 1003), (FAR, 80), UDP).idle(61),
        at(77, (FRONT, 1004), (FAR, 80), TCP).open(),
    ])
}

const FRONT_TO_WEB: &str = "shop/front 1000 > shop/web 80";
const FRONT_TO_DB: &str = "shop/front 1001 > shop/db 5432";
const WEB_TO_DNS: &str = "shop/web 2000 > fd00::99(2) 53";
const FAR_TO_WEB: &str = "198.51.100.9(2) 3000 > shop/web 80";
const FRONT_TO_VIP: &str = "shop/front 1002 ? 10.96.0.10(2) 80";

fn request(whitelist: FlowFilter) -> v1::ListConnectionsRequest {
    v1::ListConnectionsRequest { whitelist: vec![whitelist], ..v1::ListConnectionsRequest::default() }
}

fn listed(request: &v1::ListConnectionsRequest) -> Vec<String> {
    let (connections, _) = ask(node(), request);
    let mut lines: Vec<String> = connections.iter().map(line).collect();
    lines.sort();
    lines
}

fn assert_listed(what: &str, request: &v1::ListConnectionsRequest, expected: &[&str]) {
    let listed = listed(request);
    assert_eq!(listed.len(), expected.len(), "{what}: {listed:?}");
    for line in expected {
        assert!(listed.iter().any(|listed| listed.starts_with(line)), "{what}: {listed:?} has no {line}");
    }
}

#[test]
fn filters_mean_of_connections_what_they_mean_of_flows() {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let any = FlowFilter::default();
    let table: Vec<(&str, FlowFilter, &[&str])> = vec![
        ("everything", any.clone(), &[FRONT_TO_WEB, FRONT_TO_DB, WEB_TO_DNS, FAR_TO_WEB, FRONT_TO_VIP]),
        ("from a pod", FlowFilter { source_pod: texts(&["shop/web"]), ..any.clone() }, &[WEB_TO_DNS]),
        (
            "to a pod",
            FlowFilter { destination_pod: texts(&["shop/web"]), ..any.clone() },
            &[FRONT_TO_WEB, FAR_TO_WEB],
        ),
        (
            "to a pod, if the one of unknown beginning is taken the other way round",
            FlowFilter { destination_pod: texts(&["shop/front"]), ..any.clone() },
            &[FRONT_TO_VIP],
        ),
        (
            "of a namespace",
            FlowFilter { source_pod: texts(&["shop/"]), ..any.clone() },
            &[FRONT_TO_WEB, FRONT_TO_DB, WEB_TO_DNS, FRONT_TO_VIP],
        ),
        (
            "from addresses",
            FlowFilter { source_ip: texts(&["198.51.100.0/24"]), ..any.clone() },
            &[FAR_TO_WEB],
        ),
        (
            "to a port",
            FlowFilter { destination_port: texts(&["5432", "53"]), ..any.clone() },
            &[FRONT_TO_DB, WEB_TO_DNS],
        ),
        ("by protocol", FlowFilter { protocol: texts(&["udp"]), ..any.clone() }, &[WEB_TO_DNS]),
        (
            "by IP version",
            FlowFilter { ip_version: vec![IpVersion::IPv6.into()], ..any.clone() },
            &[WEB_TO_DNS],
        ),
        ("by label", FlowFilter { destination_label: texts(&["k8s:app=db"]), ..any.clone() }, &[FRONT_TO_DB]),
        ("by identity", FlowFilter { source_identity: vec![2], ..any.clone() }, &[FAR_TO_WEB, FRONT_TO_VIP]),
        (
            "by service",
            FlowFilter { destination_service: texts(&["shop/web"]), ..any.clone() },
            &[FRONT_TO_VIP],
        ),
        (
            "by workload",
            FlowFilter {
                destination_workload: vec![Workload { name: "db".into(), kind: String::new() }],
                ..any.clone()
            },
            &[FRONT_TO_DB],
        ),
        (
            "by cluster",
            FlowFilter { destination_cluster_name: texts(&["default"]), ..any.clone() },
            &[FRONT_TO_WEB, FRONT_TO_DB, FAR_TO_WEB, FRONT_TO_VIP],
        ),
        ("nobody", FlowFilter { source_pod: texts(&["shop/nobody"]), ..any }, &[]),
    ];
    for (what, filter, expected) in table {
        assert_listed(what, &request(filter), expected);
    }
}

#[test]
fn a_black_list_and_states_take_away() {
    let port_80 = FlowFilter { destination_port: vec!["80".into()], ..FlowFilter::default() };
    let black =
        v1::ListConnectionsRequest { blacklist: vec![port_80], ..v1::ListConnectionsRequest::default() };
    assert_listed("but to port 80, whichever way round", &black, &[FRONT_TO_DB, WEB_TO_DNS, FRONT_TO_VIP]);
    let in_states = |states: &[v1::ConnectionState]| v1::ListConnectionsRequest {
        states: states.iter().map(|state| (*state).into()).collect(),
        ..v1::ListConnectionsRequest::default()
    };
    assert_listed("unanswered", &in_states(&[v1::ConnectionState::SynUnanswered]), &[FRONT_TO_DB]);
    assert_listed(
        "two states",
        &in_states(&[v1::ConnectionState::SynUnanswered, v1::ConnectionState::Unreplied]),
        &[FRONT_TO_DB, WEB_TO_DNS],
    );
    assert_listed("none in this state", &in_states(&[v1::ConnectionState::Reset]), &[]);
}

#[test]
fn a_limit_gives_those_with_most_and_says_what_it_withheld() {
    let best = |limit, rank_by: ConnectionRank, least| {
        let request = v1::ListConnectionsRequest {
            limit,
            rank_by: rank_by.into(),
            least,
            ..v1::ListConnectionsRequest::default()
        };
        let mut entries = Vec::new();
        for n in 1..=20_u16 {
            let mut entry = at(FRONT_VETH, (FRONT, 1000 + n), (FAR, 80), TCP);
            let amount = u64::from(n);
            entry.connection.bytes = [amount, 100];
            entry.connection.packets = [21 - amount, 7];
            entry.connection.began = NOW - amount * SECOND;
            entry.connection.last_seen = NOW - SECOND / amount;
            entries.push(entry);
        }
        let (connections, totals) = ask(table(&entries), &request);
        let mut ports: Vec<u32> = connections.iter().map(|one| one.source.as_ref().unwrap().port).collect();
        ports.sort_unstable();
        assert_eq!(totals.matching, 20);
        assert_eq!(totals.withheld, 20 - u64::try_from(ports.len()).unwrap());
        ports
    };
    assert_eq!(best(3, Bytes, false), [1018, 1019, 1020]);
    assert_eq!(best(3, Unspecified, false), [1018, 1019, 1020], "bytes, if nothing is said");
    assert_eq!(best(3, Bytes, true), [1001, 1002, 1003]);
    assert_eq!(best(3, Packets, false), [1001, 1002, 1003]);
    assert_eq!(best(2, Age, false), [1019, 1020]);
    assert_eq!(best(2, Idle, false), [1001, 1002]);
    assert_eq!(best(20, Bytes, false).len(), 20);
    assert_eq!(best(0, Bytes, false).len(), 20, "no limit");
}

#[test]
fn the_totals_add_up() {
    let (connections, totals) = ask(node(), &v1::ListConnectionsRequest::default());
    assert_eq!(connections.len(), 5);
    let expected = v1::ConnectionTotals { entries: 8, capacity: 1000, over: 2, matching: 5, withheld: 0 };
    assert_eq!(totals, expected);
    let filtered = request(FlowFilter { protocol: vec!["udp".into()], ..FlowFilter::default() });
    assert_eq!(ask(node(), &filtered).1, v1::ConnectionTotals { matching: 1, ..expected });
    let empty = v1::ConnectionTotals { capacity: 1000, ..v1::ConnectionTotals::default() };
    assert_eq!(ask(Table::default(), &v1::ListConnectionsRequest::default()), (Vec::new(), empty));
}

#[test]
fn no_message_is_large() {
    let entries: Vec<At> =
        (1..=5_000).map(|port| at(FRONT_VETH, (FRONT, port), (FAR, 80), TCP).open()).collect();
    let table = Table { batch: 4_096, ..table(&entries) };
    let mut query = Query::new(&v1::ListConnectionsRequest::default(), sources(table)).unwrap();
    let mut count = 0;
    while let Some(message) = query.next_message().unwrap() {
        let bytes = prost::Message::encoded_len(&message);
        assert!(bytes < 200_000, "{bytes}");
        count += message.connections.len();
    }
    assert_eq!(count, 5_000);
}

#[test]
fn more_ends_than_are_remembered_keep_their_names() {
    let mut entries = vec![at(FRONT_VETH, (FRONT, 1), (DB, 80), UDP)];
    for n in 0..70_000_u32 {
        let mut far = at(FRONT_VETH, (FRONT, 1000), (FAR, 80), UDP);
        far.key.remote[12..].copy_from_slice(&(0xc000_0000 + n).to_be_bytes());
        entries.push(far);
    }
    entries.push(at(FRONT_VETH, (FRONT, 2), (DB, 80), UDP));
    let to_db = request(FlowFilter { destination_pod: vec!["shop/db".into()], ..FlowFilter::default() });
    let table = Table { batch: 4_096, ..table(&entries) };
    let (connections, totals) = ask(table, &to_db);
    let mut lines: Vec<String> = connections.iter().map(line).collect();
    lines.sort();
    let told = |port| format!("shop/front {port} > shop/db 80 unreplied source unspecified");
    assert_eq!((lines, totals.entries), (vec![told(1), told(2)], 70_002));
}

#[test]
fn a_wrong_request_is_refused_by_what_is_wrong() {
    let any = v1::ListConnectionsRequest::default();
    let table: Vec<(v1::ListConnectionsRequest, &str)> = vec![
        (
            request(FlowFilter { verdict: vec![Verdict::Dropped.into()], ..FlowFilter::default() }),
            "a connection has no verdict to filter by; choose from: the source_ and destination_ fields ip, pod, label, \
             service, workload, cluster_name, port, identity; protocol, ip_version",
        ),
        (
            request(FlowFilter { source_ip: vec!["10.0.0".into()], ..FlowFilter::default() }),
            "invalid IP address \"10.0.0\" in filter: ParseAddr(\"10.0.0\"): IPv4 address too short",
        ),
        (
            v1::ListConnectionsRequest { states: vec![0], ..any.clone() },
            "0 is no state of a connection; choose from 1 to 9",
        ),
        (
            v1::ListConnectionsRequest { states: vec![10], ..any.clone() },
            "10 is no state of a connection; choose from 1 to 9",
        ),
        (
            v1::ListConnectionsRequest { rank_by: 5, ..any.clone() },
            "5 is nothing to rank connections by; choose from 0 to 4",
        ),
        (
            v1::ListConnectionsRequest { limit: 10_001, ..any },
            "a limit of 10001 connections; choose up to 10000, or 0 for all",
        ),
    ];
    for (request, expected) in table {
        let refused: Option<InvalidQuery> = Query::new(&request, sources(node())).err();
        assert_eq!(refused.map(|error| error.to_string()).as_deref(), Some(expected));
    }
}
