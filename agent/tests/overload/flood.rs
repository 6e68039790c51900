//! The programs' side: a bounded ring, filled at a rate that nobody waits for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use palomar_agent::clock::monotonic_now_ns;
use palomar_agent::losses::LossSource;
use palomar_agent::source::{EventStream, KernelTotals};
use palomar_bpf::abi::{ABI_VERSION, Event, EventKind, InvalidEvent, address_bytes};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// Events that the ring holds: as many as the kernel's default of 4 MiB.
const RING: usize = 36_000;
/// Events between two looks at the clock.
const GULP: u64 = 1_024;
/// Where the losses of each kind are counted.
const KINDS: [(EventKind, LossSource); 3] = [
    (EventKind::Drop, LossSource::KernelRingDrop),
    (EventKind::Trace, LossSource::KernelRingTrace),
    (EventKind::PolicyVerdict, LossSource::KernelRingPolicyVerdict),
];

/// What was told and what did not fit: as the kernel's counters tell it.
pub struct Totals(Arc<Counters>);

/// By kind.
#[derive(Debug, Default)]
struct Counters {
    told: [AtomicU64; KINDS.len()],
    lost: [AtomicU64; KINDS.len()],
}

/// Makes numbered events: the number stands in the two ports.
pub struct Flood {
    ring: HeapProd<Event>,
    counters: Arc<Counters>,
    next: u32,
    /// How many records were offered that are no events.
    pub broken: u64,
    /// How many events were offered that tell what cannot be.
    pub impossible: u64,
}

/// Reads what a flood made.
pub struct Reader(HeapCons<Event>);

/// A flood, its reader and its counters.
pub fn flood() -> (Flood, Reader, Totals) {
    let (ring, events) = HeapRb::new(RING).split();
    let counters = Arc::new(Counters::default());
    let flood = Flood { ring, counters: Arc::clone(&counters), next: 0, broken: 0, impossible: 0 };
    (flood, Reader(events), Totals(counters))
}

/// The number that a flow's ports carry.
pub fn number(source_port: u32, destination_port: u32) -> u32 {
    source_port << 16 | destination_port
}

// === impl Flood ===

impl Flood {
    /// How many were offered so far.
    pub fn offered(&self) -> u64 {
        self.next.into()
    }

    /// Offers so many events a second, or as many as can be made.
    pub fn run(&mut self, per_second: Option<u64>, time: Duration) {
        let (begin, before) = (Instant::now(), self.offered());
        while begin.elapsed() < time {
            let due = per_second.map_or(u64::MAX, |rate| {
                u64::try_from(begin.elapsed().as_micros()).unwrap() * rate / 1_000_000
            });
            let behind = due.saturating_sub(self.offered() - before);
            if behind == 0 {
                thread::sleep(Duration::from_micros(200));
            }
            self.offer(behind.min(GULP));
        }
    }

    fn offer(&mut self, count: u64) {
        let now_ns = monotonic_now_ns();
        for _ in 0..count {
            let event = event(self.next, now_ns);
            self.broken += u64::from(event.version != ABI_VERSION);
            self.impossible += u64::from(event.verdict == IMPOSSIBLE);
            self.next = self.next.checked_add(1).expect("the test offers fewer events than u32 counts");
            let kind = KINDS.iter().position(|(kind, _)| *kind as u8 == event.kind).unwrap();
            let Counters { told, lost } = &*self.counters;
            match self.ring.try_push(event) {
                Ok(()) => told[kind].fetch_add(1, Ordering::Relaxed),
                // whether they would have been understood is not known of those
                Err(event) => {
                    self.broken -= u64::from(event.version != ABI_VERSION);
                    self.impossible -= u64::from(event.verdict == IMPOSSIBLE);
                    lost[kind].fetch_add(1, Ordering::Relaxed)
                }
            };
        }
    }
}

/// The observation point of a packet that leaves for another pod.
const DEPARTURE: u8 = 5;
/// No verdict has this number.
const IMPOSSIBLE: u8 = 77;

/// One in ten a drop, one in ten a verdict; one in a hundred is no event, one in a hundred cannot be. One in a hundred
/// leaves for another pod, and every second of these is delivered next, under its number.
fn event(number: u32, now_ns: u64) -> Event {
    let is_departure = number % 100 == 78;
    let number = if number % 200 == 79 { number - 1 } else { number };
    let (kind, detail, verdict) = match number % 10 {
        3 => (EventKind::Drop, 132, 2),
        6 => (EventKind::PolicyVerdict, 2, 1),
        _ if is_departure => (EventKind::Trace, DEPARTURE, 1),
        _ => (EventKind::Trace, 0, 1),
    };
    let port = |bits: u32| u16::try_from(bits & 0xffff).unwrap().to_be();
    Event {
        time: now_ns,
        version: if number % 100 == 50 { ABI_VERSION + 1 } else { ABI_VERSION },
        kind: kind as u8,
        detail,
        verdict: if number % 100 == 51 { IMPOSSIBLE } else { verdict },
        direction: if is_departure { 2 } else { 1 },
        state: 1,
        family: 4,
        protocol: 6,
        source: address_bytes([10, 0, 0, (number % 40) as u8].into()),
        destination: address_bytes([10, 0, 1, (number % 7) as u8].into()),
        source_port: port(number >> 16),
        destination_port: port(number),
        tcp_flags: 2,
        ifindex: 3,
        endpoint: 3,
        ..Event::default()
    }
}

// === impl Reader ===

impl EventStream for Reader {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        thread::sleep(timeout.min(Duration::from_millis(1)));
        Ok(())
    }

    fn drain(&mut self, max: usize, each: &mut dyn FnMut(Result<Event, InvalidEvent>)) -> usize {
        let mut drained = 0;
        for event in self.0.pop_iter().take(max) {
            each(Event::read(bytemuck::bytes_of(&event)));
            drained += 1;
        }
        drained
    }
}

// === impl Totals ===

impl KernelTotals for Totals {
    fn totals(&self) -> io::Result<Vec<(LossSource, u64)>> {
        let lost = self.0.lost.iter().map(|lost| lost.load(Ordering::Relaxed));
        Ok(KINDS.into_iter().zip(lost).map(|((_, source), lost)| (source, lost)).collect())
    }

    fn told(&self) -> io::Result<u64> {
        Ok(self.0.told.iter().map(|told| told.load(Ordering::Relaxed)).sum())
    }
}
