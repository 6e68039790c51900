//! A flood on the real programs, through the whole event path: what the programs told was read or counted as lost, kind by
//! kind and stage by stage, to the event. Needs root, and fails without.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use palomar_agent::directory::Directory;
use palomar_agent::enforce::SharedAttributions;
use palomar_agent::enrich::{self, Enricher, SeenNamespaces, Sources};
use palomar_agent::losses::{LossSource, Losses, StageCounts};
use palomar_agent::ring::{Capacity, Ring};
use palomar_agent::source::{self, EventStream, KernelLosses};
use palomar_bpf::abi::{
    Counter, Direction, Endpoint, Event, EventKind, InvalidEvent, Mode, POLICY_ENFORCED,
    POLICY_ISOLATED_EGRESS, PolicyWord,
};
use palomar_bpf::{Constant, Datapath, EventReader, Options, RingBytes};

/// The interface of test runs.
const LOOPBACK: u32 = 1;
/// Packets of one test run.
const ROUND: u32 = 20_000;
/// How long each kind of flood lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// Denied events that are told at once before the limit holds.
const BURST: u32 = 100_000;

/// Counts by kind what is read.
struct ByKind {
    reader: EventReader,
    read: Arc<Mutex<BTreeMap<u8, u64>>>,
}

impl EventStream for ByKind {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.reader.wait(timeout)
    }

    fn drain(&mut self, max: usize, each: &mut dyn FnMut(Result<Event, InvalidEvent>)) -> usize {
        let mut read = self.read.lock().unwrap();
        self.reader.drain(max, |record| {
            if let Ok(event) = &record {
                *read.entry(event.kind).or_default() += 1;
            }
            each(record);
        })
    }
}

/// Ethernet, IPv4, UDP, from the pod to somewhere outside.
fn frame() -> Vec<u8> {
    let ethernet = [&[2; 6][..], &[4; 6], &[0x08, 0x00]].concat();
    let ip = [0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 10, 192, 0, 2, 1];
    let udp = [0x9c, 0x40, 0, 53, 0, 12, 0, 0, b'p', b'a', b'l', b'o'];
    [&ethernet[..], &ip, &udp].concat()
}

fn load() -> Datapath {
    let options = Options {
        // 546 events: a flood fills it in a tenth of a millisecond
        ring: RingBytes::try_from(1 << 16).unwrap(),
        connections: 4_096,
        constants: vec![
            Constant::new("cfg_event_interval_ns", 0_u64),
            Constant::new("cfg_limit_burst", BURST),
        ],
        ..Options::default()
    };
    Datapath::load(&options, None).expect("root is needed (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)")
}

fn endpoint(datapath: &Datapath, flags: u8) {
    let endpoint = Endpoint {
        policy: PolicyWord::new(1, 1, flags).unwrap(),
        unjudged_udp_until: 0,
        id: 7,
        identity: 500,
    };
    datapath.maps.endpoints.set(LOOPBACK, &endpoint).unwrap();
}

/// Runs packets for a while; gives how many.
fn flood(datapath: &Datapath) -> u64 {
    let (frame, begin, mut packets) = (frame(), Instant::now(), 0);
    while begin.elapsed() < FLOOD {
        datapath.attacher.test_run(Direction::Egress, &frame, ROUND).unwrap();
        packets += u64::from(ROUND);
    }
    packets
}

/// Reads the ring to its end; gives the flows that it saw and those that it missed.
fn follow(ring: &Ring, ended: &AtomicBool) -> (u64, u64) {
    let (mut at, mut seen, mut missed, mut records) = (0, 0, 0, Vec::new());
    loop {
        let last = ended.load(Ordering::Acquire);
        let batch = ring.read(at..u64::MAX, &mut records);
        assert!(records.is_sorted_by_key(|record| record.time_ns), "one CPU tells in order");
        seen += records.len() as u64;
        missed += batch.missed;
        at = batch.first + records.len() as u64;
        if records.is_empty() {
            if last {
                return (seen, missed);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn what_the_programs_told_was_read_or_counted_as_lost_to_the_event() {
    let mut datapath = load();
    let maps = Arc::clone(&datapath.maps);
    let losses = Arc::new(Losses::default());
    let (writer, ring) = Ring::new(Capacity::try_from(65_535).unwrap());
    let directory = Directory::empty(Arc::from("node-1"), Arc::from("default"));
    let sources = Sources {
        directory: Arc::new(ArcSwap::from_pointee(directory)),
        attributions: Arc::new(SharedAttributions::default()),
        namespaces: Arc::new(SeenNamespaces::default()),
    };
    let (sender, receiver) = source::queue(4_096);
    let enriching = enrich::spawn(Enricher::new(sources, writer), receiver, Arc::clone(&losses)).unwrap();
    let read = Arc::new(Mutex::new(BTreeMap::new()));
    let stream = ByKind { reader: datapath.events.take().unwrap(), read: Arc::clone(&read) };
    let counters = KernelLosses::from_now(Arc::clone(&maps)).unwrap();
    let reading = source::spawn(stream, counters, sender, Arc::clone(&losses)).unwrap();

    let ended = AtomicBool::new(false);
    let ((seen, missed), traced, denied) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&ring, &ended));
        endpoint(&datapath, 0);
        let traced = flood(&datapath);
        maps.settings.set_mode(Mode::Enforce);
        endpoint(&datapath, POLICY_ISOLATED_EGRESS | POLICY_ENFORCED);
        let denied = flood(&datapath);
        drop(reading);
        drop(enriching);
        ended.store(true, Ordering::Release);
        (follower.join().unwrap(), traced, denied)
    });

    let count = |counter| maps.counters.get(counter).unwrap();
    let read = |kind: EventKind| read.lock().unwrap().get(&kind.number()).copied().unwrap_or_default();
    let kinds = [
        (EventKind::Trace, Counter::ToldTrace, Counter::LostTrace, LossSource::KernelRingTrace, traced),
        (EventKind::Drop, Counter::ToldDrop, Counter::LostDrop, LossSource::KernelRingDrop, denied),
        (
            EventKind::PolicyVerdict,
            Counter::ToldPolicyVerdict,
            Counter::LostPolicyVerdict,
            LossSource::KernelRingPolicyVerdict,
            denied,
        ),
    ];
    let suppressed = count(Counter::Suppressed);
    let mut wanted = 0;
    for (kind, told, lost, source, packets) in kinds {
        let (told, lost) = (count(told), count(lost));
        assert_eq!(read(kind), told, "{kind:?}: what went into the ring was read");
        assert_eq!(losses.count(source), lost, "{kind:?}");
        assert!(told > 0 && told + lost <= packets, "{kind:?}: {told} told and {lost} lost of {packets}");
        wanted += told + lost;
    }
    assert!(count(Counter::LostTrace) > 0, "the flood is more than the ring holds");
    assert_eq!(wanted + suppressed, traced + 2 * denied, "an event for each packet, two for a denied one");
    assert_eq!(losses.count(LossSource::RateLimited), suppressed);

    let [kernel, reader, enricher, _] = losses.stages();
    for stage in [&kernel, &reader, &enricher] {
        let StageCounts { taken, given, .. } = stage;
        assert_eq!(
            stage.in_hand(),
            0,
            "{:?}: {taken} in, {given} out, {} lost",
            stage.stage,
            stage.all_lost()
        );
    }
    assert_eq!(kernel.taken, traced + 2 * denied);
    assert_eq!(reader.taken, kernel.given);
    assert_eq!(enricher.taken, reader.given);
    assert_eq!(ring.written(), enricher.given);
    assert_eq!(seen + missed, ring.written());
}
