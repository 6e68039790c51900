//! What each part of the event path took in, and what became of it.
//!
//! For every stage, taken = given + left out + lost + what it has in hand. Counts are raised in that order and read in
//! the other, so that what is in hand is never told as negative; once nothing moves it is exact.

use std::sync::atomic::{AtomicU64, Ordering};

use super::source::LossSource;

/// A part of the event path, in the order in which events pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The programs: takes what there is to tell, gives what went into the kernel's ring buffer.
    Kernel,
    /// The thread that empties the kernel's ring buffer: gives what went into the queue.
    Reader,
    /// The thread that names events: gives what was written to the ring of recent flows, and leaves out the departures of
    /// packets that arrived or were dropped.
    Enricher,
    /// All queries together: takes flows that a query passed, gives those that were answered, and leaves out those
    /// that were not asked for. A flow counts once for each query that passes it.
    Queries,
}

/// One stage's counts since the agent started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageCounts {
    /// Which stage.
    pub stage: Stage,
    /// What came in.
    pub taken: u64,
    /// What went on.
    pub given: u64,
    /// What was left out on purpose: by a query's filter, or because a later event tells more.
    pub left_out: u64,
    /// Every place of this stage where events can be lost, with its count.
    pub lost: Vec<(LossSource, u64)>,
}

/// The counts of one stage that are no losses.
#[derive(Debug, Default)]
pub(super) struct Passed {
    taken: AtomicU64,
    left_out: AtomicU64,
    given: AtomicU64,
}

// === impl Stage ===

impl Stage {
    /// All stages.
    pub const ALL: [Self; 4] = [Self::Kernel, Self::Reader, Self::Enricher, Self::Queries];

    /// The name in metrics and in `palomar status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Reader => "reader",
            Self::Enricher => "enricher",
            Self::Queries => "queries",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

// === impl StageCounts ===

impl StageCounts {
    /// Everything that was lost here.
    pub fn all_lost(&self) -> u64 {
        self.lost.iter().map(|(_, count)| count).sum()
    }

    /// What came in and has neither gone on nor been lost yet.
    pub fn in_hand(&self) -> u64 {
        self.taken.saturating_sub(self.given).saturating_sub(self.left_out).saturating_sub(self.all_lost())
    }
}

// === impl Passed ===

impl Passed {
    pub(super) fn take(&self, count: u64) {
        self.taken.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn leave_out(&self, count: u64) {
        self.left_out.fetch_add(count, Ordering::Release);
    }

    pub(super) fn give(&self, count: u64) {
        self.given.fetch_add(count, Ordering::Release);
    }

    /// Sets what was given: for a stage that counts by itself.
    pub(super) fn set_given(&self, count: u64) {
        self.given.store(count, Ordering::Release);
    }

    /// The counts together with the losses, which are read in between.
    pub(super) fn counts(&self, stage: Stage, lost: impl Fn(LossSource) -> u64) -> StageCounts {
        let given = self.given.load(Ordering::Acquire);
        let left_out = self.left_out.load(Ordering::Acquire);
        let sources = LossSource::ALL.into_iter().filter(|source| source.stage() == stage);
        let lost: Vec<(LossSource, u64)> = sources.map(|source| (source, lost(source))).collect();
        let taken = match stage {
            // the programs count what they told and what they did not, each once
            Stage::Kernel => given + lost.iter().map(|(_, count)| count).sum::<u64>(),
            Stage::Reader | Stage::Enricher | Stage::Queries => self.taken.load(Ordering::Acquire),
        };
        StageCounts { stage, taken, given, left_out, lost }
    }
}
