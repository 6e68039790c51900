//! What was lost before it came to us: the kernel's own counters, which only grow.

use std::io;

use crate::clock::wall_now_ns;
use crate::losses::{Loss, LossSource, Losses};

/// Reads the kernel's loss counters.
pub trait KernelTotals: Send {
    /// The sums so far, by source.
    fn totals(&self) -> io::Result<Vec<(LossSource, u64)>>;
}

/// Turns growing sums into losses.
#[derive(Debug)]
pub struct KernelLosses<C> {
    counters: C,
    known: Vec<(LossSource, u64)>,
    known_at_ns: i64,
    failing: bool,
}

// === impl KernelLosses ===

impl<C: KernelTotals> KernelLosses<C> {
    /// Counts what is lost from now on.
    pub fn from_now(counters: C) -> io::Result<Self> {
        let known = counters.totals()?;
        Ok(Self::since(counters, known, wall_now_ns()))
    }

    /// Counts what was lost since the sums were `known`, at a moment of the wall clock: those of an agent before
    /// this one, whose programs went on.
    pub fn since(counters: C, known: Vec<(LossSource, u64)>, known_at_ns: i64) -> Self {
        Self { counters, known, known_at_ns, failing: false }
    }

    /// Adds what was lost since the last call.
    pub fn count(&mut self, losses: &Losses) {
        let totals = match self.counters.totals() {
            Ok(totals) => totals,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "cannot read the kernel's loss counters");
                }
                return;
            }
        };
        self.failing = false;
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
        KernelLosses::since(&total, vec![(LossSource::KernelRingDrop, 60)], 1_000).count(&losses);
        let told = losses.teller(0, i64::MAX).tell(&losses, i64::MAX);
        assert_eq!((told[0].count, told[0].first_ns), (40, 1_000));
    }
}
