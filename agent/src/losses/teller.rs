//! What one query has told of the losses.

use std::sync::atomic::Ordering;

use super::gap::Gap;
use super::log::{Interval, Log};
use super::source::LossSource;
use super::{Loss, Losses};

/// Tells each loss of its window once, and no more often than it is asked.
#[derive(Debug)]
pub struct LossTeller {
    since_ns: i64,
    until_ns: i64,
    told: [Told; LossSource::ALL.len()],
    /// The state of the log when it was last looked at.
    changes: u64,
    /// The earliest loss that was ahead of the reader then; `i64::MAX` if there was none.
    ahead_ns: i64,
    /// The first gap that was not reached yet.
    next_gap: usize,
}

/// All that a source lost up to this count was told, or is not to be told.
#[derive(Debug, Clone, Copy)]
struct Told {
    count: u64,
    /// When the last of them was lost.
    last_ns: i64,
}

// === impl LossTeller ===

impl LossTeller {
    pub(super) fn new(since_ns: i64, until_ns: i64) -> Self {
        // the log is looked at when first asked
        Self {
            since_ns,
            until_ns,
            told: [Told::NOTHING; LossSource::ALL.len()],
            changes: 0,
            ahead_ns: i64::MIN,
            next_gap: 0,
        }
    }

    pub(super) fn skip(&mut self, log: &Log, gaps: &[Gap]) {
        self.next_gap = gaps.len();
        for source in LossSource::ALL {
            self.told[source.index()] = log
                .of(source)
                .back()
                .map_or(Told::NOTHING, |last| Told { count: last.count_after, last_ns: last.last_ns });
        }
    }

    /// What is to be told to a reader that has come to the moment `upto_ns`: at most one loss a source. Cheap when
    /// there is nothing.
    pub fn tell(&mut self, losses: &Losses, upto_ns: i64) -> Vec<Loss> {
        let changes = losses.changes.load(Ordering::Acquire);
        if changes == self.changes && upto_ns < self.ahead_ns {
            return Vec::new();
        }
        self.changes = changes;
        self.ahead_ns = i64::MAX;
        let log = losses.log();
        LossSource::ALL.into_iter().filter_map(|source| self.tell_source(&log, source, upto_ns)).collect()
    }

    /// The gaps to be told to a reader that has come to the moment `upto_ns`: each once.
    pub fn tell_gaps(&mut self, losses: &Losses, upto_ns: i64) -> Vec<Gap> {
        let ahead = losses.gaps.get(self.next_gap..).unwrap_or_default();
        let reached = ahead.partition_point(|gap| gap.first_ns <= upto_ns);
        self.next_gap += reached;
        let told = ahead[..reached].iter().filter(|gap| gap.overlaps(self.since_ns, self.until_ns));
        told.copied().collect()
    }

    fn tell_source(&mut self, log: &Log, source: LossSource, upto_ns: i64) -> Option<Loss> {
        let mut told: Option<Loss> = None;
        for interval in log.of(source) {
            let Interval { count_before, count_after, first_ns, last_ns } = *interval;
            let already = &mut self.told[source.index()];
            if count_after <= already.count {
                continue;
            }
            if first_ns > upto_ns {
                self.ahead_ns = self.ahead_ns.min(first_ns);
                break;
            }
            // an interval that was told in part goes on where that ended
            let begun = count_before < already.count;
            let count = count_after - count_before.max(already.count);
            let first_ns = if begun { first_ns.max(already.last_ns.min(last_ns)) } else { first_ns };
            *already = Told { count: count_after, last_ns };
            if last_ns < self.since_ns || first_ns > self.until_ns {
                continue;
            }
            let loss = told.get_or_insert(Loss { source, count: 0, first_ns, last_ns });
            loss.count += count;
            loss.first_ns = loss.first_ns.min(first_ns);
            loss.last_ns = loss.last_ns.max(last_ns);
        }
        told
    }
}

// === impl Told ===

impl Told {
    const NOTHING: Self = Self { count: 0, last_ns: i64::MIN };
}
