//! A million pods come and go: the enricher, the writer and the names they share take no more memory than for some
//! thousands.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use palomar_agent::decode::KernelEvent;
use palomar_agent::directory::{Directory, PodEntry};
use palomar_agent::enforce::SharedAttributions;
use palomar_agent::enrich::{Enricher, SeenNamespaces, Sources};
use palomar_agent::ring::{BATCH, Capacity, Names, Ring};
use palomar_bpf::abi::PolicyWord;
use palomar_model::flow::{Event, FlowEndpoint};
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};
use palomar_model::object::ObjectName;
use palomar_model::packet::Transport;
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};
use palomar_model::world::Pod;

/// Pods that are there at once.
const CROWD: u32 = 2_000;
/// How often all of them are replaced.
const GENERATIONS: u32 = 500;
const CAPACITY: u64 = 16_383;
/// From this generation on one version of the names is held.
const HELD: u32 = 100;
/// After so many generations everything has reached its size.
const WARM: u32 = 150;
/// What the resident memory may grow by after that: an allocator's noise.
const NOISE: u64 = 8 << 20;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Addresses come again after some generations, as they do in a real network.
fn address(pod: u32, generation: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + generation % 20 * CROWD + pod).into()
}

fn entry(pod: u32, generation: u32) -> Arc<PodEntry> {
    let name = ObjectName::new("team", format!("worker-{generation}-{pod}"));
    let labels = LabelSet::new(vec![Label::k8s("app", "worker"), Label::k8s("run", generation.to_string())]);
    Arc::new(PodEntry {
        internal_identity: 256 + generation % 50,
        flow_endpoint: Arc::new(FlowEndpoint {
            id: 0,
            identity: Identity(1_000 + generation % 50),
            labels,
            pod: Some(name.clone()),
            workload: None,
            cluster: Arc::from("default"),
        }),
        pod: Arc::new(Pod { uid: format!("{generation}/{pod}"), ..Pod::new(name) }),
    })
}

/// One event to each pod.
fn events(generation: u32) -> impl Iterator<Item = KernelEvent> {
    let identity = 256 + generation % 50;
    (0..CROWD).map(move |pod| KernelEvent {
        monotonic_ns: u64::from(generation) * 1_000_000_000 + u64::from(pod) + 1,
        event: Event::Trace(ObservationPoint::ToEndpoint),
        verdict: Verdict::Forwarded,
        state: ConnectionState::New,
        direction: Direction::Ingress,
        source_address: address((pod + 1) % CROWD, generation),
        destination_address: address(pod, generation),
        transport: Transport::Udp { source: 1, destination: 2 },
        source_masked: false,
        source_identity: identity,
        destination_identity: identity,
        ifindex: pod % 100,
        endpoint: pod % 100,
        policy: PolicyWord::default(),
        rule_set: 0,
        class_rule_set: 0,
        suppressed: 0,
        class: 0,
        foreign: None,
    })
}

/// The greatest index of an end that a readable flow has, and whether the names fit the flows.
fn greatest_index(ring: &Ring, generation: u32) -> usize {
    let (mut greatest, mut at, mut records) = (0, ring.oldest(), Vec::new());
    while at < ring.written() {
        let batch = ring.read(at..u64::MAX, &mut records);
        for record in &records {
            greatest = greatest.max(record.source.index()).max(record.destination.index());
            let name = &batch.names.endpoint(record.destination).pod.as_ref().unwrap().name;
            let of: u32 = name.split('-').nth(1).unwrap().parse().unwrap();
            assert!(of <= generation && of + 10 > generation, "{name} in generation {generation}");
        }
        at = batch.first + records.len() as u64;
    }
    greatest
}

#[test]
fn a_million_pods_come_and_go_and_memory_stays() {
    let (writer, ring) = Ring::new(Capacity::try_from(CAPACITY).unwrap());
    let empty = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    let directory = Arc::new(ArcSwap::from_pointee(empty.clone()));
    let sources = Sources {
        directory: Arc::clone(&directory),
        attributions: Arc::new(SharedAttributions::default()),
        namespaces: Arc::new(SeenNamespaces::default()),
    };
    let mut enricher = Enricher::new(sources, writer);
    // what a query holds that is never read on: one version of the names
    let mut held: Option<Arc<Names>> = None;
    let mut known: Vec<(u32, Weak<FlowEndpoint>)> = Vec::new();
    let mut warm = 0;
    for generation in 0..GENERATIONS {
        let mut next = Directory { made_at_ns: u64::from(generation) * 1_000_000_000 + 1, ..empty.clone() };
        for pod in 0..CROWD {
            let entry = entry(pod, generation);
            if pod == 0 {
                known.push((generation, Arc::downgrade(&entry.flow_endpoint)));
            }
            next.addresses.insert(address(pod, generation), entry);
        }
        directory.store(Arc::new(next));
        let events: Vec<KernelEvent> = events(generation).collect();
        for batch in events.chunks(BATCH) {
            enricher.enrich(batch.iter().copied());
        }
        match generation {
            HELD => held = Some(ring.names()),
            WARM => warm = resident_bytes(),
            _ => {}
        }
        if generation % 50 == 49 {
            let greatest = greatest_index(&ring, generation);
            // the ring, an epoch before and one after; nearly every flow has an end of its own
            let bound = usize::try_from(CAPACITY + 1).unwrap() * 10 / 8 + 2 * BATCH + 2;
            assert!(greatest < bound, "index {greatest} of {bound} in generation {generation}");
        }
    }
    let grown = resident_bytes().saturating_sub(warm);
    assert!(grown < NOISE, "resident memory grew by {grown} bytes");

    let held = held.unwrap();
    assert!(held.endpoints().count() < 25_000, "one version holds what one ring needs");
    let alive = |known: &[(u32, Weak<FlowEndpoint>)]| -> Vec<u32> {
        known.iter().filter(|(_, pod)| pod.strong_count() > 0).map(|(generation, _)| *generation).collect()
    };
    // some thousand former owners of addresses are remembered
    let recent = |generation: &u32| *generation + 20 > GENERATIONS;
    let kept: Vec<u32> = alive(&known).into_iter().filter(|generation| !recent(generation)).collect();
    assert!(kept.iter().all(|generation| (HELD - 20..=HELD).contains(generation)), "{kept:?}");
    drop(held);
    let kept: Vec<u32> = alive(&known).into_iter().filter(|generation| !recent(generation)).collect();
    assert_eq!(kept, Vec::<u32>::new(), "with the query went what it alone held");
}
