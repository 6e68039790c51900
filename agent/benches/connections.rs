//! What a look at a full table of connections costs: `cargo bench -p palomar-agent --bench connections`. Needs root, for
//! the table is the kernel's. Medians of seven runs, in CPU time of the process.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run may say so by a panic")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use palomar_agent::clock::monotonic_now_ns;
use palomar_agent::connections::{ConnectionTables, KernelConnections, Query, Sources};
use palomar_agent::directory::{Directory, LocalEndpoint, PodEntry};
use palomar_agent::enrich::{Attribution, Attributions, Decision};
use palomar_bpf::abi::{Connection, ConnectionKey, Direction, address_bytes};
use palomar_bpf::{Datapath, Options};
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::ObjectName;
use palomar_model::world::Pod;
use palomar_proto::flow::FlowFilter;
use palomar_proto::palomar::v1;
use prost::Message;

const RUNS: usize = 7;
/// Pods of this node.
const PODS: u32 = 200;
const CAPACITY: u32 = 131_072;
/// Packets of the open connections, by direction.
const OPEN: [u64; 2] = [40, 50];

struct NoRules;

impl Attributions for NoRules {
    fn version(&self) -> u64 {
        0
    }

    fn attribute(&self, _: &Decision) -> Attribution {
        Attribution::Withheld
    }

    fn class_labels(&self, _: u32) -> Option<LabelSet> {
        None
    }
}

fn pod_address(pod: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0af4_0000 + pod + 10).into()
}

fn directory() -> Directory {
    let mut directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    for n in 0..PODS {
        let (id, addresses) = (100 + n, vec![pod_address(n)]);
        let name = ObjectName::new(format!("team-{}", n % 21), format!("backend-service-{n}"));
        let labels = ["app", "version", "tier", "team", "release", "component", "part-of"]
            .map(|key| Label::k8s(format!("app.kubernetes.io/{key}"), format!("{key}-{}", n % 40)));
        let pod = Arc::new(PodEntry {
            pod: Arc::new(Pod { addresses: addresses.clone(), ..Pod::new(name.clone()) }),
            internal_identity: 1_000 + n,
            flow_endpoint: Arc::new(FlowEndpoint {
                id,
                identity: Identity(1_000 + n),
                labels: LabelSet::new(labels.into()),
                pod: Some(name),
                workload: None,
                cluster: Arc::from("default"),
            }),
        });
        directory.addresses.insert(pod_address(n), Arc::clone(&pod));
        let endpoint = LocalEndpoint { id, interface: format!("veth{n}").into(), pod: Some(pod), addresses };
        directory.endpoints.insert(id, Arc::new(endpoint));
    }
    directory
}

fn entry(
    ifindex: u32,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    by_pod: bool,
) -> (ConnectionKey, Connection) {
    let now = monotonic_now_ns();
    let origin = if by_pod { Direction::Egress } else { Direction::Ingress };
    let key = ConnectionKey {
        local: address_bytes(local.0),
        remote: address_bytes(remote.0),
        local_port: local.1.to_be(),
        remote_port: remote.1.to_be(),
        protocol: 6,
        ifindex,
        ..ConnectionKey::default()
    };
    let connection = Connection {
        began: now,
        last_seen: now,
        packets: OPEN,
        bytes: OPEN.map(|packets| packets * 700),
        flags_seen: [0x1a; 2],
        origin: origin.number(),
        ..Connection::default()
    };
    (key, connection)
}

/// Half of the entries are those of connections between two pods of the node, the others lead to the world; one in 64
/// of these is a SYN without an answer.
fn entries() -> impl Iterator<Item = (ConnectionKey, Connection)> {
    (0..CAPACITY / 4).flat_map(|n| {
        let mixed = n.wrapping_mul(0x9e37_79b9) >> 8;
        let (from, to) = (mixed % PODS, (mixed / PODS) % PODS);
        let port = u16::try_from(1_024 + n / PODS).unwrap();
        let (client, server) = ((pod_address(from), port), (pod_address(to), 8_080));
        let world = |k: u32| (Ipv4Addr::from_bits(0xc633_0000 + (mixed + k) % 5_000).into(), 443);
        let mut unanswered = entry(100 + from, client, world(1), true);
        if n % 32 == 0 {
            unanswered.1 =
                Connection { flags_seen: [0, 2], packets: [0, 3], bytes: [0, 180], ..unanswered.1 };
        }
        [
            entry(100 + from, client, server, true),
            entry(100 + to, server, client, false),
            unanswered,
            entry(100 + to, (pod_address(to), 8_081), (world(0).0, port), false),
        ]
    })
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// The most resident memory since the last call.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn measure(what: &str, mut run: impl FnMut() -> usize) {
    let mut times = Vec::new();
    let (mut count, mut peak) = (0, 0);
    for _ in 0..RUNS {
        let before = peak_kilobytes().min(resident_kilobytes());
        let begin = cpu();
        count = run();
        times.push(cpu().saturating_sub(begin));
        peak = peak.max(peak_kilobytes().saturating_sub(before));
    }
    times.sort();
    println!("{what:<44} {count:>8} {:>9.1} ms {peak:>8} kB", times[RUNS / 2].as_secs_f64() * 1e3);
}

fn resident_kilobytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

fn ask(sources: &Sources, request: &v1::ListConnectionsRequest) -> usize {
    let mut query = Query::new(request, sources.clone()).unwrap();
    let (mut count, mut bytes) = (0, Vec::new());
    while let Some(message) = query.next_message().unwrap() {
        count += message.connections.len();
        bytes.clear();
        message.encode(&mut bytes).unwrap();
    }
    count
}

fn main() {
    let datapath = Datapath::load(&Options::default(), None).expect("root is needed");
    datapath.maps.connections.enter(entries()).unwrap();
    let memory = datapath.maps.memory().unwrap();
    let table = memory.iter().find(|map| map.name == "connections").unwrap();
    println!("{:<44} {:>8} B", "kernel memory of an entry", table.bytes / u64::from(CAPACITY));
    let tables = Arc::new(KernelConnections(Arc::clone(&datapath.maps)));
    let sources =
        Sources { tables: tables.clone(), directory: Arc::new(directory()), attributions: Arc::new(NoRules) };
    let all = v1::ListConnectionsRequest::default();
    let to_pod = FlowFilter { destination_pod: vec!["team-7/".into()], ..FlowFilter::default() };
    println!("{:<44} {:>8} {:>12} {:>11}", "what", "count", "CPU", "memory");
    measure("the walk alone, entries", || {
        let (mut walk, mut count) = (tables.walk(), 0);
        while let Some((keys, _)) = walk.next().unwrap() {
            count += keys.len();
        }
        count
    });
    measure("all, as encoded messages", || ask(&sources, &all));
    measure("--to-pod team-7/", || {
        ask(&sources, &v1::ListConnectionsRequest { whitelist: vec![to_pod.clone()], ..all.clone() })
    });
    measure("--unanswered", || {
        let states = vec![v1::ConnectionState::SynUnanswered.into()];
        ask(&sources, &v1::ListConnectionsRequest { states, ..all.clone() })
    });
    measure("--limit 20", || ask(&sources, &v1::ListConnectionsRequest { limit: 20, ..all.clone() }));
    measure("--limit 10000", || ask(&sources, &v1::ListConnectionsRequest { limit: 10_000, ..all.clone() }));
}
