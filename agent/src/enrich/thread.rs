//! The thread that takes events from the queue, decodes and enriches them.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use palomar_bpf::abi::Event;

use super::departures::News;
use super::enricher::{Enriched, Enricher};
use crate::clock::{TimeAnchor, monotonic_now_ns, wall_now_ns};
use crate::decode::KernelEvent;
use crate::losses::{Loss, LossSource, Losses, Stage};
use crate::source::EventReceiver;

/// Events written at once: a reader sees them together.
const BATCH: usize = 256;
/// How often the clocks are related anew.
const ANCHOR_EVERY: Duration = Duration::from_secs(1);
/// How long a flow may be readable before those who wait for it are woken, while more flows come.
const WAKE_EVERY: Duration = Duration::from_millis(1);
/// How long the thread sleeps when nobody wakes it.
const WAIT: Duration = Duration::from_millis(200);
/// As [`WAIT`], while it waits for what becomes of packets.
const SHORT_WAIT: Duration = Duration::from_millis(50);
/// Where events are lost that could have told what became of a packet.
const BLIND_SPOTS: [LossSource; 6] = [
    LossSource::KernelRingDrop,
    LossSource::KernelRingTrace,
    LossSource::KernelRingPolicyVerdict,
    LossSource::InvalidRecord,
    LossSource::QueueFull,
    LossSource::Decode,
];

/// The enriching thread. It ends once the queue is closed and empty; dropping this waits for that, so drop the
/// source first.
#[derive(Debug)]
pub struct EnrichThread {
    thread: Option<JoinHandle<()>>,
}

/// Starts the enriching thread.
pub fn spawn(enricher: Enricher, queue: EventReceiver, losses: Arc<Losses>) -> io::Result<EnrichThread> {
    let thread = thread::Builder::new().name("enrich".into()).spawn(move || run(enricher, queue, &losses))?;
    Ok(EnrichThread { thread: Some(thread) })
}

fn run(mut enricher: Enricher, mut queue: EventReceiver, losses: &Losses) {
    let (mut anchored_at, mut woken_at) = (Instant::now(), Instant::now());
    loop {
        // asked before the queue is emptied: what was sent before the end is not left behind
        let closed = queue.is_closed();
        let progress = queue.progress();
        let taken = queue.take(BATCH, |events| enrich(&mut enricher, events, losses));
        let news = News {
            now_ns: monotonic_now_ns(),
            emptied_ns: if taken == 0 { progress.emptied_ns } else { 0 },
            counted_ns: progress.counted_ns,
            lost: BLIND_SPOTS.into_iter().map(|source| losses.count(source)).sum(),
            limited: losses.count(LossSource::RateLimited),
        };
        account(enricher.settle(&news), losses);
        let now = Instant::now();
        if taken == 0 || now - woken_at >= WAKE_EVERY {
            enricher.wake();
            woken_at = now;
        }
        if now - anchored_at >= ANCHOR_EVERY {
            enricher.set_anchor(TimeAnchor::now());
            anchored_at = now;
        }
        if taken == 0 {
            if closed {
                account(enricher.give_up(), losses);
                return;
            }
            queue.wait(if enricher.waited_for() > 0 { SHORT_WAIT } else { WAIT });
            enricher.follow_directory();
        }
    }
}

/// Writes the flows of some events; what cannot be understood is counted.
fn enrich(enricher: &mut Enricher, events: &[Event], losses: &Losses) {
    losses.take(Stage::Enricher, events.len() as u64);
    let mut invalid = (0, None);
    let done = enricher.enrich(events.iter().filter_map(|event| {
        KernelEvent::try_from(event)
            .map_err(|error| invalid = (invalid.0 + 1, invalid.1.or(Some(error))))
            .ok()
    }));
    if let (count, Some(error)) = invalid {
        tracing::warn!(%error, count, "kernel events that cannot be understood");
        let now_ns = wall_now_ns();
        losses.add(Loss { source: LossSource::Decode, count, first_ns: now_ns, last_ns: now_ns });
    }
    account(done, losses);
}

fn account(enriched: Enriched, losses: &Losses) {
    let Enriched { written, settled, unknown, unknown_since_ns } = enriched;
    losses.add(Loss {
        source: LossSource::FateUnknown,
        count: unknown,
        first_ns: unknown_since_ns,
        last_ns: wall_now_ns(),
    });
    losses.leave_out(Stage::Enricher, settled);
    losses.give(Stage::Enricher, written);
}

// === impl EnrichThread ===

impl Drop for EnrichThread {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that enriches events has panicked");
        }
    }
}
