//! A node with three pods, a table of connections, and what a query tells of it in a line each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::{
    CONNECTION_UNORIENTED, Connection, ConnectionKey, Direction, LimitKey, PolicyWord, address_bytes,
};
use palomar_bpf::{Entries, MapError};
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::{ObjectName, Workload};
use palomar_model::packet::TcpFlags;
use palomar_model::verdict::Verdict;
use palomar_model::world::Pod;
use palomar_proto::palomar::v1;

use crate::connections::{ConnectionTables, ConnectionWalk, Query, Sources};
use crate::directory::{Directory, Former, LocalEndpoint, PodEntry};
use crate::enrich::{Attribution, Attributions, Decision};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const SYN: u8 = TcpFlags::SYN;
pub const ACK: u8 = TcpFlags::ACK;
pub const SECOND: u64 = 1_000_000_000;
/// The kernel's clock when the table is looked at.
pub const NOW: u64 = 100_000 * SECOND;

/// `web` and `front` are pods of this node, `db` one of another; nobody knows who `stray` is.
pub const WEB: &str = "10.0.0.7";
pub const FRONT: &str = "10.0.0.8";
pub const FRONT6: &str = "fd00::8";
pub const WEB6: &str = "fd00::7";
pub const STRAY: &str = "10.0.0.9";
pub const DB: &str = "10.1.0.5";
/// A pod that has gone had it until a while ago.
pub const GONE: &str = "10.1.0.66";
/// The same, and it had gone before any connection began.
pub const GONE_BEFORE: &str = "10.1.0.67";
pub const NODE: &str = "10.0.0.1";
pub const OTHER_NODE: &str = "10.1.0.1";
pub const VIP: &str = "10.96.0.10";
/// Of CIDR class 3.
pub const OUTSIDE: &str = "203.0.113.9";
pub const FAR: &str = "198.51.100.9";
pub const WEB_VETH: u32 = 7;
pub const FRONT_VETH: u32 = 8;
pub const STRAY_VETH: u32 = 9;

/// A table that stays as it is. A walk gives it in pieces.
#[derive(Default)]
pub struct Table {
    pub entries: Vec<(ConnectionKey, Connection)>,
    pub denied: HashMap<LimitKeyBytes, u64>,
    pub batch: usize,
}

/// The key as bytes, since it has no hash.
type LimitKeyBytes = Vec<u8>;

pub fn limit_bytes(key: &LimitKey) -> LimitKeyBytes {
    let LimitKey { peer, ifindex, port, protocol, direction } = key;
    [&peer[..], &ifindex.to_ne_bytes(), &port.to_ne_bytes(), &[*protocol, *direction]].concat()
}

struct TableWalk {
    keys: Vec<ConnectionKey>,
    connections: Vec<Connection>,
    at: usize,
    batch: usize,
}

impl ConnectionTables for Table {
    fn now_ns(&self) -> u64 {
        NOW
    }

    fn walk(&self) -> Box<dyn ConnectionWalk> {
        let (keys, connections) = self.entries.iter().copied().unzip();
        Box::new(TableWalk { keys, connections, at: 0, batch: self.batch.max(1) })
    }

    fn connection(&self, key: &ConnectionKey) -> Result<Option<Connection>, MapError> {
        Ok(self.entries.iter().find(|(known, _)| known == key).map(|(_, connection)| *connection))
    }

    fn capacity(&self) -> u32 {
        1000
    }

    fn class(&self, address: IpAddr) -> Result<u32, MapError> {
        Ok(if address == ip(OUTSIDE) { 3 } else { 0 })
    }

    fn policy(&self, _: u32) -> Result<PolicyWord, MapError> {
        Ok(PolicyWord::new(5, 9, 0).unwrap())
    }

    fn last_denied(&self, key: &LimitKey) -> Result<Option<u64>, MapError> {
        Ok(self.denied.get(&limit_bytes(key)).copied())
    }
}

impl ConnectionWalk for TableWalk {
    fn next(&mut self) -> Result<Option<Entries<'_, ConnectionKey, Connection>>, MapError> {
        let from = self.at;
        self.at = (from + self.batch).min(self.keys.len());
        let piece = from..self.at;
        Ok((!piece.is_empty()).then(|| (&self.keys[piece.clone()], &self.connections[piece])))
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An entry at the interface of the pod that has the local address, which began it a minute ago and was last heard of
/// a second ago: a SYN so far.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub key: ConnectionKey,
    pub connection: Connection,
}

/// Named by the pod's end and its peer's, each `address port`.
pub fn at(ifindex: u32, local: (&str, u16), remote: (&str, u16), protocol: u8) -> At {
    let key = ConnectionKey {
        local: address_bytes(ip(local.0)),
        remote: address_bytes(ip(remote.0)),
        local_port: local.1.to_be(),
        remote_port: remote.1.to_be(),
        protocol,
        ifindex,
        ..ConnectionKey::default()
    };
    let connection = Connection {
        began: NOW - 50 * SECOND,
        last_seen: NOW - SECOND,
        origin: Direction::Egress.number(),
        flags_seen: [0, if protocol == TCP { SYN } else { 0 }],
        packets: [0, 1],
        bytes: [0, 60],
        ..Connection::default()
    };
    At { key, connection }
}

impl At {
    /// The peer began it.
    pub fn begun_by_peer(mut self) -> Self {
        self.connection.origin = Direction::Ingress.number();
        for pair in [&mut self.connection.packets, &mut self.connection.bytes] {
            pair.reverse();
        }
        self.connection.flags_seen.reverse();
        self
    }

    /// Open, with packets both ways.
    pub fn open(mut self) -> Self {
        self.connection.flags_seen = if self.key.protocol == TCP { [SYN | ACK; 2] } else { [0; 2] };
        self.connection.packets = [4, 5];
        self.connection.bytes = [400, 500];
        self
    }

    pub fn flag(mut self, flag: u8) -> Self {
        self.connection.flags |= flag;
        self
    }

    pub fn unoriented(self) -> Self {
        self.flag(CONNECTION_UNORIENTED)
    }

    pub fn idle(mut self, seconds: u64) -> Self {
        self.connection.last_seen = NOW - seconds * SECOND;
        self
    }

    pub fn rules(mut self, set: u32, rule_set: u32) -> Self {
        self.connection.policy = PolicyWord::new(set, 2, 0).unwrap();
        self.connection.rule_set = rule_set;
        self
    }
}

fn pod(name: &str, number: u32, ifindex: u32, addresses: &[&str]) -> Arc<PodEntry> {
    let name = ObjectName::new("shop", name);
    Arc::new(PodEntry {
        pod: Arc::new(Pod {
            node: "node-1".into(),
            addresses: addresses.iter().map(|address| ip(address)).collect(),
            ..Pod::new(name.clone())
        }),
        internal_identity: number,
        flow_endpoint: Arc::new(FlowEndpoint {
            id: ifindex,
            identity: Identity(1000 + number),
            labels: LabelSet::new(vec![Label::k8s("app", name.name.clone())]),
            workload: Some(Workload { name: name.name.clone(), kind: "Deployment".into() }),
            pod: Some(name),
            cluster: Arc::from("default"),
        }),
    })
}

pub fn directory() -> Directory {
    let mut directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    let pods = [
        pod("web", 10, WEB_VETH, &[WEB, WEB6]),
        pod("front", 11, FRONT_VETH, &[FRONT, FRONT6]),
        pod("db", 12, 0, &[DB]),
    ];
    for pod in pods {
        let addresses = pod.pod.addresses.clone();
        directory.addresses.extend(addresses.iter().map(|address| (*address, Arc::clone(&pod))));
        let id = pod.flow_endpoint.id;
        if id != 0 {
            let interface = Arc::from(format!("veth{id}"));
            let endpoint = LocalEndpoint { id, interface, pod: Some(pod), addresses };
            directory.endpoints.insert(id, Arc::new(endpoint));
        }
    }
    let stray = LocalEndpoint {
        id: STRAY_VETH,
        interface: Arc::from("veth9"),
        pod: None,
        // the second is web's, as the directory knows
        addresses: vec![ip(STRAY), ip(WEB)],
    };
    directory.endpoints.insert(STRAY_VETH, Arc::new(stray));
    let gone = pod("gone", 13, 0, &[GONE]);
    let had = |address: &str, seconds: u64| {
        let until_ns = NOW - seconds * SECOND;
        (ip(address), Former { pod: Arc::clone(&gone), since_ns: NOW - 100 * SECOND, until_ns })
    };
    directory.former.extend([had(GONE, 20), had(GONE_BEFORE, 60), had(WEB6, 10)]);
    // the pods at these addresses are new there
    directory.came_at_ns.extend([DB, WEB6].map(|address| (ip(address), NOW - 10 * SECOND)));
    directory.node_addresses.insert(ip(NODE));
    directory.remote_nodes.insert(ip(OTHER_NODE));
    directory.services.insert(ip(VIP), ObjectName::new("shop", "web"));
    directory
}

/// Names the numbers in the policy's name.
struct ByNumber;

impl Attributions for ByNumber {
    fn version(&self) -> u64 {
        0
    }

    fn attribute(&self, decision: &Decision) -> Attribution {
        let Decision { verdict, direction, policy_set, rule_set, .. } = decision;
        let name = match verdict {
            Verdict::Forwarded if *rule_set == 99 => return Attribution::Withheld,
            Verdict::Forwarded => format!("rules-{rule_set}"),
            Verdict::Audit => format!("audit-{policy_set}-{direction}"),
            Verdict::Dropped => format!("deny-{policy_set}-{direction}"),
        };
        Attribution::Policies([PolicyRef::network_policy(ObjectName::new("shop", name))].into())
    }

    fn class_labels(&self, class: u32) -> Option<LabelSet> {
        (class == 3).then(|| LabelSet::new(vec![Label::cidr("203.0.113.0/24"), Label::reserved("world")]))
    }
}

pub fn sources(table: Table) -> Sources {
    Sources { tables: Arc::new(table), directory: Arc::new(directory()), attributions: Arc::new(ByNumber) }
}

/// The whole answer: all connections, and the totals of its last message.
pub fn ask(
    table: Table,
    request: &v1::ListConnectionsRequest,
) -> (Vec<v1::Connection>, v1::ConnectionTotals) {
    let mut query = Query::new(request, sources(table)).unwrap();
    let (mut connections, mut totals) = (Vec::new(), None);
    while let Some(message) = query.next_message().unwrap() {
        assert_eq!(totals, None, "the totals stand in the last message");
        connections.extend(message.connections);
        totals = message.totals;
    }
    (connections, totals.expect("the totals stand in the last message"))
}

pub fn table(entries: &[At]) -> Table {
    Table {
        entries: entries.iter().map(|at| (at.key, at.connection)).collect(),
        batch: 2,
        ..Table::default()
    }
}

/// All connections of a table, a line each, sorted.
pub fn lines(entries: &[At]) -> Vec<String> {
    let (connections, _) = ask(table(entries), &v1::ListConnectionsRequest::default());
    let mut lines: Vec<String> = connections.iter().map(line).collect();
    lines.sort();
    lines
}

/// `shop/front 1000 > shop/web 80 established both arrived`; `?` for `>` where it is not known which end began.
pub fn line(connection: &v1::Connection) -> String {
    let end = |end: &Option<v1::ConnectionEnd>| {
        let end = end.as_ref().unwrap();
        let name = match end.pod_name.as_str() {
            "" => format!("{}({})", end.address, end.identity),
            pod => format!("{}/{pod}", end.namespace),
        };
        let masked = if end.is_masked { " masked" } else { "" };
        if end.port == 0 { format!("{name}{masked}") } else { format!("{name}{masked} {}", end.port) }
    };
    let sides = match (&connection.source_side, &connection.destination_side) {
        (Some(_), Some(_)) => "both",
        (Some(_), None) => "source",
        (None, Some(_)) => "destination",
        (None, None) => "nowhere",
    };
    format!(
        "{} {} {} {} {sides} {}",
        end(&connection.source),
        if connection.is_oriented { ">" } else { "?" },
        end(&connection.destination),
        connection.state().as_str_name().trim_start_matches("CONNECTION_STATE_").to_lowercase(),
        connection.arrival().as_str_name().trim_start_matches("ARRIVAL_").to_lowercase(),
    )
}
