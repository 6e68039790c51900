//! The intervals in which something was lost: few, and merged when they would become many.

use std::collections::VecDeque;

use super::source::LossSource;

/// Intervals of one source that are kept at most; older ones are merged, and nothing of their count is lost.
const MAX_INTERVALS: usize = 64;
/// Losses that follow each other within this time are one interval.
const MERGE_WITHIN_NS: i64 = 1_000_000_000;

/// Something that was lost, in an interval of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Where.
    pub source: LossSource,
    /// How many events.
    pub count: u64,
    /// When the first was lost, in nanoseconds since the Unix epoch, as close as is known.
    pub first_ns: i64,
    /// When the last was lost; as `first_ns`.
    pub last_ns: i64,
}

/// An interval of one source. The counts are sums over all that the source ever lost, so that they stay good when
/// intervals are merged.
#[derive(Debug, Clone, Copy)]
pub struct Interval {
    /// Lost before this interval.
    pub count_before: u64,
    /// Lost up to its end.
    pub count_after: u64,
    pub first_ns: i64,
    pub last_ns: i64,
}

/// The intervals of all sources.
#[derive(Debug, Default)]
pub struct Log {
    sources: [VecDeque<Interval>; LossSource::ALL.len()],
}

// === impl Log ===

impl Log {
    pub fn add(&mut self, loss: Loss) {
        let intervals = &mut self.sources[loss.source.index()];
        match intervals.back_mut() {
            Some(last) if last.is_near(loss) => {
                last.count_after += loss.count;
                last.first_ns = last.first_ns.min(loss.first_ns);
                last.last_ns = last.last_ns.max(loss.last_ns);
            }
            last => {
                let count_before = last.map_or(0, |last| last.count_after);
                intervals.push_back(Interval {
                    count_before,
                    count_after: count_before + loss.count,
                    first_ns: loss.first_ns,
                    last_ns: loss.last_ns,
                });
            }
        }
        if intervals.len() > MAX_INTERVALS {
            merge_closest(intervals);
        }
    }

    /// The intervals of a source as losses that, added in their order, make them anew.
    pub fn losses_of(&self, source: LossSource) -> impl Iterator<Item = Loss> {
        self.of(source).iter().map(move |interval| {
            let Interval { count_before, count_after, first_ns, last_ns } = *interval;
            Loss { source, count: count_after - count_before, first_ns, last_ns }
        })
    }

    /// The intervals of a source, in the order in which they were counted.
    pub fn of(&self, source: LossSource) -> &VecDeque<Interval> {
        &self.sources[source.index()]
    }
}

// === impl Interval ===

impl Interval {
    fn is_near(&self, loss: Loss) -> bool {
        loss.first_ns <= self.last_ns.saturating_add(MERGE_WITHIN_NS)
            && self.first_ns <= loss.last_ns.saturating_add(MERGE_WITHIN_NS)
    }
}

/// Makes one interval of the two neighbours with the least time between them.
fn merge_closest(intervals: &mut VecDeque<Interval>) {
    let gap = |at: usize| intervals[at + 1].first_ns.abs_diff(intervals[at].last_ns);
    let Some(at) = (0..intervals.len().saturating_sub(1)).min_by_key(|at| gap(*at)) else { return };
    let Some(next) = intervals.remove(at + 1) else { return };
    let merged = &mut intervals[at];
    merged.count_after = next.count_after;
    merged.first_ns = merged.first_ns.min(next.first_ns);
    merged.last_ns = merged.last_ns.max(next.last_ns);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_losses_are_one_interval_and_many_are_merged_without_losing_their_count() {
        let mut log = Log::default();
        let source = LossSource::Decode;
        for n in 0..1_000_i64 {
            // pairs within a second, ten seconds from pair to pair
            let at = n / 2 * 10_000_000_000 + n % 2;
            log.add(Loss { source, count: 2, first_ns: at, last_ns: at });
        }
        let intervals = log.of(source);
        assert_eq!(intervals.len(), MAX_INTERVALS);
        assert_eq!(intervals.back().unwrap().count_after, 2_000);
        let newest = intervals.back().unwrap();
        assert_eq!(newest.count_after - newest.count_before, 4, "the newest pair is an interval of its own");
        for (one, next) in intervals.iter().zip(intervals.iter().skip(1)) {
            assert_eq!(one.count_after, next.count_before);
        }
    }
}
