//! Takes events out of the kernel's ring buffer as fast as it can and hands them to the enricher's thread.
//!
//! The kernel wakes the reader when its ring is filled past an edge; a timer covers the quiet times. Between the two
//! threads stands a bounded queue: when it is full, events are counted as lost rather than waited with, since
//! waiting would only lose them in the kernel.

mod baseline;
mod bpf;
mod kernel;
mod progress;
mod queue;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use palomar_bpf::abi::{Event, InvalidEvent};

use crate::clock::{monotonic_now_ns, wall_now_ns};
use crate::losses::{Loss, LossSource, Losses, Stage};
pub use baseline::{Baseline, BaselineKeeper};
pub use bpf::InOrder;
pub use kernel::{KernelLosses, KernelTotals};
pub use progress::ProgressMade;
pub use queue::{EventReceiver, EventSender, queue};

/// How late an event may be told when there are few.
const WAIT: Duration = Duration::from_millis(20);
/// How often the kernel's loss counters are read.
const COUNT_EVERY: Duration = Duration::from_millis(200);
/// Events taken before the queue's reader is woken.
const DRAIN: usize = 4_096;
/// Events put into the queue at once.
const GULP: usize = 256;
/// How often events are taken once more at the end: enough for a full ring of 16 MiB.
const LAST_DRAINS: usize = 64;

/// Where events come from: the kernel's ring buffer, or a test.
pub trait EventStream: Send {
    /// Waits until there may be events, or for `timeout`.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Hands up to `max` events to `each`, in order, and gives how many records there were.
    fn drain(&mut self, max: usize, each: &mut dyn FnMut(Result<Event, InvalidEvent>)) -> usize;
}

/// The reading thread. Dropping it stops the thread after one last drain.
#[derive(Debug)]
pub struct SourceThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Source<S, C> {
    stream: S,
    kernel: KernelLosses<C>,
    queue: EventSender,
    losses: Arc<Losses>,
    gulp: Vec<Event>,
}

/// Starts the reading thread. The queue is closed when it ends.
pub fn spawn<S, C>(
    stream: S,
    kernel: KernelLosses<C>,
    queue: EventSender,
    losses: Arc<Losses>,
) -> io::Result<SourceThread>
where
    S: EventStream + 'static,
    C: KernelTotals + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = Source { stream, kernel, queue, losses, gulp: Vec::with_capacity(GULP) };
    let thread = thread::Builder::new().name("events".into()).spawn({
        let stop = Arc::clone(&stop);
        move || source.run(&stop)
    })?;
    Ok(SourceThread { stop, thread: Some(thread) })
}

// === impl Source ===

impl<S: EventStream, C: KernelTotals> Source<S, C> {
    fn run(&mut self, stop: &AtomicBool) {
        let mut counted_at = Instant::now();
        let mut more = false;
        while !stop.load(Ordering::Acquire) {
            if !more && let Err(error) = self.stream.wait(WAIT) {
                tracing::error!(%error, "cannot wait for kernel events; asking again at intervals");
                thread::sleep(WAIT);
            }
            more = self.drain() == DRAIN;
            if counted_at.elapsed() >= COUNT_EVERY {
                counted_at = Instant::now();
                self.count();
            }
        }
        // the programs go on: take what is there, but not for ever
        for _ in 0..LAST_DRAINS {
            if self.drain() == 0 {
                break;
            }
        }
        self.count();
    }

    /// Counts what the kernel lost, and says up to when.
    fn count(&mut self) {
        let now_ns = monotonic_now_ns();
        if self.kernel.count(&self.losses) {
            self.queue.counted(now_ns);
        }
    }

    /// Moves what there is to the queue; what does not fit or is no event is counted.
    fn drain(&mut self) -> usize {
        let Self { stream, queue, losses, gulp, .. } = self;
        let now_ns = monotonic_now_ns();
        let (mut queued, mut read, mut invalid) = (0, 0, Invalid::default());
        let mut send = |gulp: &mut Vec<Event>| {
            read += gulp.len();
            queued += queue.send(gulp);
            gulp.clear();
        };
        let drained = stream.drain(DRAIN, &mut |record| match record {
            Ok(event) => {
                gulp.push(event);
                if gulp.len() == GULP {
                    send(gulp);
                }
            }
            Err(error) => invalid.add(error),
        });
        send(gulp);
        if drained == 0 {
            queue.emptied(now_ns);
            return 0;
        }
        losses.take(Stage::Reader, drained as u64);
        let now_ns = wall_now_ns();
        let add = |source, count| losses.add(Loss { source, count, first_ns: now_ns, last_ns: now_ns });
        add(LossSource::QueueFull, (read - queued) as u64);
        add(LossSource::InvalidRecord, invalid.count);
        losses.give(Stage::Reader, queued as u64);
        queue.wake();
        if let Some(error) = invalid.first {
            tracing::warn!(%error, count = invalid.count, "the kernel's ring holds records that are no events");
        }
        drained
    }
}

/// The records of one drain that were no events.
#[derive(Default)]
struct Invalid {
    count: u64,
    first: Option<InvalidEvent>,
}

impl Invalid {
    fn add(&mut self, error: InvalidEvent) {
        self.count += 1;
        self.first.get_or_insert(error);
    }
}

// === impl SourceThread ===

impl Drop for SourceThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads kernel events has panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out numbered events, every tenth of them broken, in gulps.
    struct Numbered {
        next: u64,
        total: u64,
    }

    impl EventStream for Numbered {
        fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
            thread::yield_now();
            Ok(())
        }

        fn drain(&mut self, max: usize, each: &mut dyn FnMut(Result<Event, InvalidEvent>)) -> usize {
            let count = (max.min(1_000) as u64).min(self.total - self.next);
            for time in self.next..self.next + count {
                each(if time % 10 == 9 {
                    Err(InvalidEvent::Kind { kind: 0 })
                } else {
                    Ok(Event { time, ..Event::default() })
                });
            }
            self.next += count;
            usize::try_from(count).unwrap()
        }
    }

    struct NoTotals;

    impl KernelTotals for NoTotals {
        fn totals(&self) -> io::Result<Vec<(LossSource, u64)>> {
            Ok(Vec::new())
        }

        fn told(&self) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn what_was_produced_was_queued_or_counted_as_lost() {
        const TOTAL: u64 = 20_000;
        for (capacity, slow) in [(64, true), (64, false), (100_000, false)] {
            let losses = Arc::new(Losses::default());
            let (sender, mut receiver) = queue(capacity);
            let kernel = KernelLosses::from_now(NoTotals).unwrap();
            let source =
                spawn(Numbered { next: 0, total: TOTAL }, kernel, sender, Arc::clone(&losses)).unwrap();
            let reader = thread::spawn(move || {
                let mut taken = Vec::new();
                loop {
                    let closed = receiver.is_closed();
                    let count =
                        receiver.take(256, |events| taken.extend(events.iter().map(|event| event.time)));
                    if count == 0 && closed {
                        return taken;
                    }
                    if slow {
                        thread::sleep(Duration::from_micros(50));
                    }
                    receiver.wait(Duration::from_millis(5));
                }
            });
            thread::sleep(Duration::from_millis(100));
            drop(source);
            let taken = reader.join().unwrap();
            assert!(taken.is_sorted_by(|one, next| one < next));
            let lost = losses.count(LossSource::QueueFull);
            assert_eq!(losses.count(LossSource::InvalidRecord), TOTAL / 10);
            let [_, stage, ..] = losses.stages();
            assert_eq!((stage.taken, stage.given), (TOTAL, taken.len() as u64), "capacity {capacity}");
            assert_eq!(stage.in_hand(), 0, "capacity {capacity}");
            assert_eq!(lost == 0, capacity == 100_000, "capacity {capacity}");
        }
    }
}
