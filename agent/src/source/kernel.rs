//! What was lost before it came to us: the kernel's own counters, which only grow.

use std::io;

use crate::clock::wall_now_ns;
use crate::losses::{Loss, LossSource, Losses};

/// Reads the kernel's loss counters.
pub trait KernelTotals: Send {
    /// The sums of what was lost so far, by source.
    fn totals(&self) -> io::Result<Vec<(LossSource, u64)>>;

    /// How many events went into the ring so far.
    fn told(&self) -> io::Result<u64>;
}

/// Turns growing sums into losses.
#[derive(Debug)]
pub struct KernelLosses<C> {
    counters: C,
    known: Vec<(LossSource, u64)>,
    known_at_ns: i64,
    /// What went into the ring before, and was read by an earlier agent.
    told_before: u64,
    failing: bool,
}

// === impl KernelLosses ===

impl<C: KernelTotals> KernelLosses<C> {
    /// Counts what is told and lost from now on.
    pub fn from_now(counters: C) -> io::Result<Self> {
        let known = counters.totals()?;
        let told_before = counters.told()?;
        Ok(Self::since(counters, known, wall_now_ns(), told_before))
    }

    /// Counts what was lost since the sums were `known`, at a moment of the wall clock: those of an agent before
    /// this one, whose programs went on. `told_before` events of this ring were read by such an agent.
    pub fn since(counters: C, known: Vec<(LossSource, u64)>, known_at_ns: i64, told_before: u64) -> Self {
        Self { counters, known, known_at_ns, told_before, failing: false }
    }

    /// Adds what was told and lost since the last call; whether the counters could be read.
    pub fn count(&mut self, losses: &Losses) -> bool {
        let (totals, told) = match self.read() {
            Ok(sums) => sums,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "cannot read the kernel's counters of events");
                }
                return false;
            }
        };
        self.failing = false;
        losses.set_told(told.saturating_sub(self.told_before));
        let now_ns = wall_now_ns();
        for (source, total) in &totals {
            let before = self.known.iter().find(|(known, _)| known == source).map_or(0, |(_, total)| *total);
            // a smaller sum is that of new maps
            let count = total.checked_sub(before).unwrap_or(*total);
            losses.add(Loss {
                source: *source,
                count,
                first_ns: self.known_at_ns.min(now_ns),
                last_ns: now_ns,
            });
        }
        (self.known, self.known_at_ns) = (totals, now_ns);
        true
    }

    fn read(&self) -> io::Result<(Vec<(LossSource, u64)>, u64)> {
        Ok((self.counters.totals()?, self.counters.told()?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    impl KernelTotals for &AtomicU64 {
        fn totals(&self) -> io::Result<Vec<(LossSource, u64)>> {
            Ok(vec![(LossSource::KernelRingDrop, self.load(Ordering::Relaxed))])
        }

        fn told(&self) -> io::Result<u64> {
            Ok(self.load(Ordering::Relaxed) * 10)
        }
    }

    #[test]
    fn only_growth_is_a_loss_and_new_maps_count_from_zero() {
        let total = AtomicU64::new(100);
        let losses = Losses::default();
        let mut kernel = KernelLosses::from_now(&total).unwrap();
        for (value, lost) in [(100, 0), (130, 30), (130, 30), (5, 35)] {
            total.store(value, Ordering::Relaxed);
            kernel.count(&losses);
            assert_eq!(losses.count(LossSource::KernelRingDrop), lost);
        }
    }

    #[test]
    fn losses_while_no_agent_ran_are_counted_from_what_the_last_one_knew() {
        let total = AtomicU64::new(100);
        let losses = Losses::default();
        KernelLosses::since(&total, vec![(LossSource::KernelRingDrop, 60)], 1_000, 750).count(&losses);
        let told = losses.teller(0, i64::MAX).tell(&losses, i64::MAX);
        assert_eq!((told[0].count, told[0].first_ns), (40, 1_000));
        let [kernel, ..] = losses.stages();
        assert_eq!((kernel.taken, kernel.given), (290, 250), "an earlier agent read 750 of 1,000");
    }
}
