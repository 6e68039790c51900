//! What was lost on the way from the kernel to a reader: counted where it happens, told to those whom it concerns.
//!
//! Counters never go back. Beside them stand loss intervals (source, count, first and last moment): they use no
//! place in the ring, are merged when they are close or when there are too many, and a query tells those that
//! overlap the time it asks for. What was not lost is counted as well, stage by stage, so that the sums can be checked.
//!
//! Gaps are times of which nobody can tell what passed; they are told as intervals are, but counted nowhere. Intervals
//! and gaps outlive a clean stop (they are saved with the flows); counters count from the start of the agent.

mod gap;
mod log;
mod source;
mod stage;
mod teller;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

pub use gap::{Gap, GapCause};
use log::Log;
pub use log::Loss;
pub use source::LossSource;
use stage::Passed;
pub use stage::{Stage, StageCounts};
pub use teller::LossTeller;

/// All counters and the intervals.
#[derive(Debug, Default)]
pub struct Losses {
    counts: [AtomicU64; LossSource::ALL.len()],
    passed: [Passed; Stage::ALL.len()],
    log: Mutex<Log>,
    /// Raised with every interval, so that tellers look at the log only when there is something new.
    changes: AtomicU64,
    /// By their first moment.
    gaps: Box<[Gap]>,
}

// === impl Losses ===

impl Losses {
    /// Nothing counted yet, after what an earlier agent told: its intervals, in the order in which it counted them,
    /// and the gaps up to now, in any order.
    pub fn with_history(intervals: &[Loss], gaps: Vec<Gap>) -> Self {
        let mut log = Log::default();
        for loss in intervals {
            log.add(*loss);
        }
        Self { log: Mutex::new(log), gaps: gap::in_order(gaps).into(), ..Self::default() }
    }

    /// The intervals of each source, in the order in which they were counted.
    pub fn intervals(&self) -> Vec<Loss> {
        let log = self.log();
        LossSource::ALL.into_iter().flat_map(|source| log.losses_of(source)).collect()
    }

    /// The gaps, by their first moment.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Counts a loss. Zero lost is no loss. `first_ns` and `last_ns` are nanoseconds since the Unix epoch, as close
    /// as is known.
    pub fn add(&self, loss: Loss) {
        if loss.count == 0 {
            return;
        }
        self.log().add(loss);
        self.counts[loss.source.index()].fetch_add(loss.count, Ordering::Release);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Counts what a stage took in; before what became of it is counted.
    pub fn take(&self, stage: Stage, count: u64) {
        self.passed(stage).take(count);
    }

    /// Counts what a stage gave on.
    pub fn give(&self, stage: Stage, count: u64) {
        self.passed(stage).give(count);
    }

    /// Counts what a stage left out on purpose.
    pub fn leave_out(&self, stage: Stage, count: u64) {
        self.passed(stage).leave_out(count);
    }

    /// Says how many events went into the kernel's ring buffer since the agent started, those that an earlier agent
    /// left there included.
    pub fn set_told(&self, count: u64) {
        self.passed(Stage::Kernel).set_given(count);
    }

    /// Counts what a query passed: `flows` of the ring, of which it answered with `answered` and `missed` were
    /// overwritten before it came to them; the others were not asked for. What one query missed concerns no other,
    /// so there is no interval for it.
    pub fn query_passed(&self, flows: u64, answered: u64, missed: u64) {
        let passed = self.passed(Stage::Queries);
        passed.take(flows);
        self.counts[LossSource::ReaderOvertaken.index()].fetch_add(missed, Ordering::Release);
        passed.leave_out(flows.saturating_sub(answered).saturating_sub(missed));
        passed.give(answered);
    }

    /// Lost by this source since the start.
    pub fn count(&self, source: LossSource) -> u64 {
        self.counts[source.index()].load(Ordering::Acquire)
    }

    /// Every source with its count, in the order in which events pass them. Reading changes nothing.
    pub fn counts(&self) -> [(LossSource, u64); LossSource::ALL.len()] {
        LossSource::ALL.map(|source| (source, self.count(source)))
    }

    /// Every stage with its counts, in the order in which events pass them. Reading changes nothing.
    pub fn stages(&self) -> [StageCounts; Stage::ALL.len()] {
        Stage::ALL.map(|stage| self.passed(stage).counts(stage, |source| self.count(source)))
    }

    /// Tells the losses of a window of time, in nanoseconds since the Unix epoch, both ends included: what is in
    /// the log now and what comes.
    pub fn teller(&self, since_ns: i64, until_ns: i64) -> LossTeller {
        LossTeller::new(since_ns, until_ns)
    }

    /// Tells only losses that are counted from now on.
    pub fn teller_from_now(&self) -> LossTeller {
        let mut teller = LossTeller::new(i64::MIN, i64::MAX);
        teller.skip(&self.log(), &self.gaps);
        teller
    }

    fn passed(&self, stage: Stage) -> &Passed {
        &self.passed[stage.index()]
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("invariant: nothing panics while it holds the log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(source: LossSource, count: u64, first_ns: i64, last_ns: i64) -> Loss {
        Loss { source, count, first_ns, last_ns }
    }

    #[test]
    fn every_loss_is_counted_by_its_source_and_reading_changes_nothing() {
        let losses = Losses::default();
        losses.add(loss(LossSource::QueueFull, 3, 10, 20));
        losses.add(loss(LossSource::QueueFull, 4, 15, 25));
        losses.add(loss(LossSource::Decode, 0, 1, 1));
        losses.query_passed(9, 0, 9);
        let expected =
            [(LossSource::QueueFull, 7), (LossSource::Decode, 0), (LossSource::ReaderOvertaken, 9)];
        for (source, count) in expected.into_iter().chain(expected) {
            assert_eq!(losses.count(source), count, "{source:?}");
        }
        assert_eq!(losses.counts().iter().map(|(_, count)| count).sum::<u64>(), 16);
    }

    #[test]
    fn each_stage_tells_what_it_took_and_what_became_of_it() {
        let losses = Losses::default();
        losses.set_told(100);
        losses.add(loss(LossSource::RateLimited, 5, 0, 0));
        losses.add(loss(LossSource::KernelRingTrace, 7, 0, 0));
        losses.take(Stage::Reader, 90);
        losses.add(loss(LossSource::QueueFull, 10, 0, 0));
        losses.give(Stage::Reader, 78);
        losses.query_passed(50, 20, 4);
        losses.query_passed(1, 1, 0);
        // (taken, given, left out, lost, in hand)
        let expected = [(112, 100, 0, 12, 0), (90, 78, 0, 10, 2), (0, 0, 0, 0, 0), (51, 21, 26, 4, 0)];
        for (stage, expected) in losses.stages().into_iter().zip(expected) {
            let StageCounts { taken, given, left_out, .. } = stage;
            assert_eq!(
                (taken, given, left_out, stage.all_lost(), stage.in_hand()),
                expected,
                "{:?}",
                stage.stage
            );
        }
    }

    #[test]
    fn a_query_is_told_what_overlaps_its_window_once() {
        let losses = Losses::default();
        let second = 1_000_000_000;
        losses.add(loss(LossSource::QueueFull, 1, 0, second));
        losses.add(loss(LossSource::QueueFull, 2, 5 * second, 6 * second));
        losses.add(loss(LossSource::Decode, 4, 9 * second, 9 * second));
        let mut teller = losses.teller(6 * second, 8 * second);
        assert_eq!(teller.tell(&losses, i64::MAX), [loss(LossSource::QueueFull, 2, 5 * second, 6 * second)]);
        assert_eq!(teller.tell(&losses, i64::MAX), []);
    }

    #[test]
    fn a_loss_that_lies_ahead_of_the_reader_is_told_when_it_gets_there() {
        let losses = Losses::default();
        losses.add(loss(LossSource::QueueFull, 2, 100, 110));
        let mut teller = losses.teller(0, i64::MAX);
        assert_eq!(teller.tell(&losses, 99), []);
        assert_eq!(teller.tell(&losses, 100), [loss(LossSource::QueueFull, 2, 100, 110)]);
    }

    #[test]
    fn an_interval_that_goes_on_growing_is_told_in_parts_that_add_up() {
        let losses = Losses::default();
        let mut teller = losses.teller_from_now();
        let mut told = 0;
        for n in 1..=50 {
            losses.add(loss(LossSource::RateLimited, n, 0, i64::try_from(n).unwrap()));
            if n % 7 == 0 {
                told += teller.tell(&losses, i64::MAX).iter().map(|loss| loss.count).sum::<u64>();
            }
        }
        told += teller.tell(&losses, i64::MAX).iter().map(|loss| loss.count).sum::<u64>();
        assert_eq!(told, losses.count(LossSource::RateLimited));
    }

    #[test]
    fn who_starts_now_is_not_told_of_the_past() {
        let losses = Losses::default();
        losses.add(loss(LossSource::Decode, 5, 0, 10));
        let mut teller = losses.teller_from_now();
        assert_eq!(teller.tell(&losses, i64::MAX), []);
        losses.add(loss(LossSource::Decode, 1, 10, 11));
        assert_eq!(teller.tell(&losses, i64::MAX), [loss(LossSource::Decode, 1, 10, 11)]);
    }

    #[test]
    fn what_an_earlier_agent_told_is_told_again_and_counted_nowhere() {
        let second = 1_000_000_000;
        let before = Losses::default();
        before.add(loss(LossSource::QueueFull, 3, 0, second));
        before.add(loss(LossSource::QueueFull, 4, 9 * second, 9 * second));
        before.add(loss(LossSource::Decode, 5, 0, 0));
        let gap = |first_ns, last_ns| Gap { first_ns, last_ns, flows: None, cause: GapCause::NothingRan };
        let losses = Losses::with_history(&before.intervals(), vec![gap(50, 60), gap(10, 20)]);
        assert_eq!(losses.intervals(), before.intervals());
        assert_eq!(losses.gaps(), [gap(10, 20), gap(50, 60)]);
        assert!(losses.counts().iter().all(|(_, count)| *count == 0));

        losses.add(loss(LossSource::QueueFull, 1, 20 * second, 20 * second));
        let mut teller = losses.teller(9 * second, i64::MAX);
        assert_eq!(teller.tell(&losses, i64::MAX), [loss(LossSource::QueueFull, 5, 9 * second, 20 * second)]);
        assert_eq!(losses.teller_from_now().tell(&losses, i64::MAX), []);
    }

    #[test]
    fn a_query_is_told_each_gap_of_its_window_once_when_it_gets_there() {
        let gap = |first_ns, last_ns| Gap { first_ns, last_ns, flows: None, cause: GapCause::NotSaved };
        let all = vec![gap(i64::MIN, 5), gap(10, 20), gap(30, 40), gap(50, 60)];
        let losses = Losses::with_history(&[], all);
        let mut teller = losses.teller(20, 45);
        assert_eq!(teller.tell_gaps(&losses, 9), []);
        assert_eq!(teller.tell_gaps(&losses, 10), [gap(10, 20)]);
        assert_eq!(teller.tell_gaps(&losses, 29), []);
        assert_eq!(teller.tell_gaps(&losses, i64::MAX), [gap(30, 40)]);
        assert_eq!(losses.teller(i64::MIN, 7).tell_gaps(&losses, i64::MAX), [gap(i64::MIN, 5)]);
        assert_eq!(losses.teller_from_now().tell_gaps(&losses, i64::MAX), []);
    }
}
