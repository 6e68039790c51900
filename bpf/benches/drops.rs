//! What the tracepoint's program costs a packet that somebody else drops: `cargo bench -p palomar-bpf --bench drops`. Needs
//! root.
//!
//! Datagrams to closed ports of the loopback interface, in a network namespace of its own; the kernel's statistics of the
//! program, its two readings of the clock included. Medians over shuffled rounds, with the least and
//! the greatest, in nanoseconds. Nobody reads the ring during a round, and it holds all events of one.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise, as a test does")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use aya::programs::{ProgramInfo, loaded_programs};
use aya::sys::{Stats, enable_stats};
use nix::sched::{CloneFlags, unshare};
use palomar_bpf::abi::{Address, Counter, Endpoint, PolicyWord, address_bytes};
use palomar_bpf::{Datapath, ForeignDrops, Maps, Options, RingBytes};

const ROUNDS: usize = 15;
const PACKETS: u32 = 20_000;
/// The interface that the pod is said to be behind. No packet comes by it.
const INTERFACE: u32 = 7;
/// The address of the one pod.
const POD: &str = "127.0.0.2";
const NOBODY: &str = "127.0.0.3";

/// What becomes of a dropped packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was in another network namespace, which is no pod's.
    Elsewhere,
    /// It was nobody's that is watched.
    NotOurs,
    /// It was a pod's, and the rate limit of its peer and port left it out.
    LeftOut,
    /// It is told: each is of another port.
    Told,
}

// === impl Fate ===

impl Fate {
    const ALL: [Self; 4] = [Self::Elsewhere, Self::NotOurs, Self::LeftOut, Self::Told];

    fn label(self) -> &'static str {
        match self {
            Self::Elsewhere => "in another namespace",
            Self::NotOurs => "of nobody that is watched",
            Self::LeftOut => "of a pod, left out by the limit",
            Self::Told => "of a pod, told",
        }
    }

    /// Has packets dropped so.
    fn happen(self) {
        if self == Self::Elsewhere {
            // a thread's namespace goes with it
            let elsewhere = || {
                enter_new_namespace();
                self.send();
            };
            thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
        } else {
            self.send();
        }
    }

    fn send(self) {
        let source = if self == Self::NotOurs { NOBODY } else { POD };
        let socket = UdpSocket::bind((source, 0)).unwrap();
        for number in 0..PACKETS {
            let port = if self == Self::Told { 20_000 + u16::try_from(number).unwrap() } else { 9 };
            // an ICMP error of an earlier one is told here
            let to: SocketAddr = (NOBODY.parse::<std::net::IpAddr>().unwrap(), port).into();
            while socket.send_to(b"lost", to).is_err() {}
        }
    }

    /// How many of a round are told.
    fn is_as_wanted(self, told: u64, left_out: u64) -> bool {
        let all = u64::from(PACKETS);
        match self {
            Self::Elsewhere | Self::NotOurs => told + left_out == 0,
            Self::LeftOut => told + left_out == all && left_out * 100 > all * 99,
            Self::Told => told == all,
        }
    }
}

/// The thread's, with a loopback interface that is up.
fn enter_new_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root is needed");
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
}

/// The pod that has an address.
fn pod(maps: &Maps) {
    let endpoint =
        Endpoint { policy: PolicyWord::default(), unjudged_udp_until: 0, id: INTERFACE, identity: 500 };
    maps.endpoints.set(INTERFACE, &endpoint).unwrap();
    let address = Address { identity: 500, class: 0, endpoint: INTERFACE, flags: 0 };
    maps.addresses.insert(&address_bytes(POD.parse().unwrap()), &address).unwrap();
}

/// The program that was loaded last.
fn program() -> ProgramInfo {
    let programs = loaded_programs().map(Result::unwrap);
    let ours = programs.filter(|program| program.name_as_str() == Some("foreign_drop"));
    ours.max_by_key(ProgramInfo::id).expect("the program is loaded")
}

fn datapath() -> Datapath {
    let options = Options { ring: RingBytes::try_from(16 << 20).unwrap(), ..Options::default() };
    Datapath::load(&options, None).expect("root is needed (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)")
}

fn main() {
    enter_new_namespace();
    let netns = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let mut datapath = datapath();
    pod(&datapath.maps);
    let _drops = ForeignDrops::start(&datapath.maps, u32::try_from(netns).unwrap()).unwrap();
    let _stats = enable_stats(Stats::RunTime).unwrap();
    let mut reader = datapath.events.take().unwrap();

    let mut times = Fate::ALL.map(|fate| (fate, Vec::new()));
    for round in 0..ROUNDS {
        for place in 0..times.len() {
            let (fate, times) = &mut times[(place + round) % Fate::ALL.len()];
            let count = |counter| datapath.maps.counters.get(counter).unwrap();
            let before = (program(), count(Counter::ToldDrop), count(Counter::Suppressed));
            fate.happen();
            let after = program();
            let (told, left_out) =
                (count(Counter::ToldDrop) - before.1, count(Counter::Suppressed) - before.2);
            assert!(fate.is_as_wanted(told, left_out), "{fate:?}: {told} told, {left_out} left out");
            let runs = u32::try_from(after.run_count() - before.0.run_count()).unwrap();
            times.push(after.run_time().checked_sub(before.0.run_time()).unwrap() / runs);
            while reader.drain(4_096, |_| ()) > 0 {}
        }
    }
    println!("{:<34} {:>6} {:>13}", "a dropped packet", "ns", "least..most");
    for (fate, times) in &mut times {
        times.sort_unstable();
        let ns = Duration::as_nanos;
        let [least, median, most] = [0, times.len() / 2, times.len() - 1].map(|place| ns(&times[place]));
        println!("{:<34} {median:>6} {least:>6}..{most:<6}", fate.label());
    }
}
