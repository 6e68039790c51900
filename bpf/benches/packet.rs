//! What the pod programs cost a packet, by path: `cargo bench -p palomar-bpf --bench packet`. Needs root.
//!
//! Medians over shuffled rounds, with the least and the greatest, in nanoseconds; "net" is less the empty program,
//! which is what `BPF_PROG_TEST_RUN` itself costs. Events go to a ring that nobody reads during a round and that holds
//! them all.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise, as a test does")]
#![allow(dead_code, reason = "what is shared with the tests is used more by them")]

#[path = "../tests/packets/craft.rs"]
mod craft;
#[path = "../tests/packets/datapath.rs"]
mod datapath;
#[path = "../tests/packets/world.rs"]
mod world;

use aya::Ebpf;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use craft::{ACK, FIN, PSH, SYN, ethernet, tcp, udp};
use datapath::{Datapath, Load, Via};
use palomar_bpf::abi::{Direction, Mode, RuleKey};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use world::{CLASS, FRIEND, isolated_with, port_rule, protocol_rule, world};

const ROUNDS: usize = 15;
const RUNS: u32 = 100_000;
const POD: &str = "10.0.0.10:40000";
const PEER: &str = "10.0.0.20:80";

/// One path of a packet through the programs.
struct Path {
    name: &'static str,
    subject: Subject,
    frame: Vec<u8>,
    times: Vec<u64>,
}

enum Subject {
    Empty(Ebpf),
    Datapath(Box<Datapath>),
}

impl Path {
    fn new(name: &'static str, datapath: Datapath, frame: Vec<u8>) -> Self {
        Self { name, subject: Subject::Datapath(Box::new(datapath)), frame, times: vec![] }
    }

    fn run(&mut self) {
        let time = match &mut self.subject {
            Subject::Empty(ebpf) => {
                let program: &mut SchedClassifier = ebpf.program_mut("empty").unwrap().try_into().unwrap();
                let options =
                    TestRunOptions { data_in: Some(&self.frame), repeat: RUNS, ..Default::default() };
                program.test_run(options).unwrap().duration
            }
            Subject::Datapath(datapath) => {
                let time = datapath.repeat(Direction::Egress, &self.frame, Via::default(), RUNS).1;
                datapath.events();
                time
            }
        };
        self.times.push(u64::try_from(time.as_nanos()).unwrap());
    }

    fn median(&self) -> u64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

fn empty() -> Ebpf {
    let object = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("empty.bpf.o");
    let clang = std::env::var("PALOMAR_CLANG").unwrap_or_else(|_| "clang-14".to_owned());
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/empty.bpf.c");
    let done =
        Command::new(&clang).args(["-O2", "-g", "-target", "bpf", "-c", source, "-o"]).arg(&object).status();
    assert!(done.is_ok_and(|status| status.success()), "{clang} (or PALOMAR_CLANG) compiles {source}");
    let mut ebpf = Ebpf::load_file(&object).unwrap();
    let program: &mut SchedClassifier = ebpf.program_mut("empty").unwrap().try_into().unwrap();
    program.load().expect("root is needed");
    ebpf
}

/// A connection on which every flag was seen, both ways.
fn established(mut datapath: Datapath, pod: &str, peer: &str) -> Datapath {
    datapath.pod_sends(&tcp(pod, peer, SYN));
    datapath.pod_gets(&tcp(peer, pod, SYN | ACK));
    datapath.pod_sends(&tcp(pod, peer, ACK | PSH));
    datapath.events();
    datapath
}

fn allowing(mut datapath: Datapath) -> Datapath {
    datapath.rule(port_rule(FRIEND, Direction::Egress, craft::TCP, 80), 1);
    datapath
}

/// Entries that a policy makes in the kernel's table, and policies that select one pod.
const ENTRIES_OF_POLICY: u32 = 50;
const POLICIES_OF_SET: u32 = 10;

/// With the entries of so many policies, of which a few select the pod: one port to as many identities.
fn with_policies(mut datapath: Datapath, policies: u32) -> Datapath {
    for policy in 0..policies {
        let set = world::SET + policy / POLICIES_OF_SET;
        for entry in 0..ENTRIES_OF_POLICY {
            let identity = 1_000 + (policy * 7 + entry * 11) % 2_000;
            let port = 8_000 + u16::try_from(policy % 20).unwrap();
            let key = port_rule(identity, Direction::Egress, craft::TCP, port);
            datapath.rule(RuleKey { set, ..key }, 3);
        }
    }
    datapath
}

fn paths() -> Vec<Path> {
    let load = Load {
        event_interval: Duration::from_hours(1),
        tcp_opening: Duration::from_hours(1),
        other: Duration::from_hours(1),
        ring_bytes: 32 << 20,
        connections: 131_072,
        ..Load::default()
    };
    let told = Load { event_interval: Duration::ZERO, ..load };
    let open = || world(load);
    let isolated = |limit_burst| isolated_with(Mode::Enforce, Load { limit_burst, ..load });
    let data = tcp(POD, PEER, ACK);
    // each is a new connection: a SYN on an entry that saw a FIN
    let anew = tcp(POD, PEER, SYN | FIN);
    let mut talking = open();
    talking.pod_sends(&udp(POD, PEER));
    let pair6 = ("[fd00::10]:40000", "[fd00::20]:80");
    let mut classes = allowing(isolated(10));
    classes.rule(protocol_rule(palomar_bpf::abi::PEER_CLASS | CLASS, Direction::Egress, craft::TCP), 2);
    vec![
        Path { name: "empty program", subject: Subject::Empty(empty()), frame: data.clone(), times: vec![] },
        Path::new("not IP", open(), ethernet(0x0806, &[0; 50])),
        Path::new("established, no event", established(open(), POD, PEER), data.clone()),
        Path::new(
            "established, no event, IPv6",
            established(open(), pair6.0, pair6.1),
            tcp(pair6.0, pair6.1, ACK),
        ),
        Path::new("UDP, no event", talking, udp(POD, PEER)),
        Path::new(
            "established, isolated, no event",
            established(allowing(isolated(10)), POD, PEER),
            data.clone(),
        ),
        Path::new("established, an event each", established(world(told), POD, PEER), data),
        Path::new("new, not isolated, trace", open(), anew.clone()),
        Path::new("new, not isolated, to a local pod", open(), tcp(POD, "10.0.0.40:80", SYN | FIN)),
        Path::new("new, judged, verdict and trace", allowing(isolated(10)), anew.clone()),
        Path::new("new, judged, 1 policy's entries", with_policies(allowing(isolated(10)), 1), anew.clone()),
        Path::new(
            "new, judged, 200 policies' entries",
            with_policies(allowing(isolated(10)), 200),
            anew.clone(),
        ),
        Path::new(
            "new, judged, 2,000 policies' entries",
            with_policies(allowing(isolated(10)), 2_000),
            anew.clone(),
        ),
        Path::new("new, judged by class, both events", classes, tcp(POD, "192.0.2.1:80", SYN | FIN)),
        Path::new("denied, verdict and drop told", isolated(u32::MAX), anew.clone()),
        Path::new("denied, events suppressed", isolated(1), anew),
    ]
}

/// Another order each round; a round's number is seed enough.
fn shuffled(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| {
        (index + 1).wrapping_mul(2_654_435_761).rotate_left(u32::try_from(round).unwrap() * 7)
    });
    order
}

fn main() {
    let mut paths = paths();
    for round in 0..ROUNDS {
        for index in shuffled(paths.len(), round) {
            paths[index].run();
        }
    }
    let base = paths[0].median();
    println!("{:<36} {:>6} {:>6} {:>13}", "path", "ns", "net", "least..most");
    for path in &paths {
        let (least, most) = (path.times.iter().min().unwrap(), path.times.iter().max().unwrap());
        let median = path.median();
        println!("{:<36} {median:>6} {:>6} {least:>6}..{most:<6}", path.name, median.saturating_sub(base));
    }
}
