//! Times of which nobody can tell what passed: what is missing there was not counted, or was known and is no more.

/// Gaps that are kept at most; the oldest of more are made one.
const MAX_GAPS: usize = 64;

/// A time of which flows are missing. It lies in the past: gaps come with the start of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first moment, in nanoseconds since the Unix epoch; `i64::MIN` if that is not known.
    pub first_ns: i64,
    /// Its last moment.
    pub last_ns: i64,
    /// How many flows at most; `None` if nobody counted.
    pub flows: Option<u64>,
    /// Why they are missing.
    pub cause: GapCause,
}

/// Why flows of a time are missing. The numbers stand in saved files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// Neither an agent nor its programs were there: the machine was off, or Palomar was removed.
    NothingRan = 1,
    /// An agent ended without saving what it had seen, or saved it elsewhere.
    NotSaved = 2,
    /// What was saved could not be read, or not all of it.
    Unreadable = 3,
    /// The programs were replaced by those of another version, which cannot read what they told.
    Replaced = 4,
}

// === impl Gap ===

impl Gap {
    /// Whether a moment of it lies between two moments, both included.
    pub const fn overlaps(&self, since_ns: i64, until_ns: i64) -> bool {
        since_ns <= self.last_ns && self.first_ns <= until_ns
    }

    fn join(self, other: Self) -> Self {
        Self {
            first_ns: self.first_ns.min(other.first_ns),
            last_ns: self.last_ns.max(other.last_ns),
            flows: self.flows.zip(other.flows).map(|(one, other)| one.saturating_add(other)),
            cause: other.cause,
        }
    }
}

/// Gaps by their first moment, and no more than are kept.
pub fn in_order(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by_key(|gap| (gap.first_ns, gap.last_ns));
    let surplus = gaps.len().saturating_sub(MAX_GAPS);
    if surplus > 0 {
        let oldest = gaps.drain(..=surplus).reduce(Gap::join);
        gaps.splice(0..0, oldest);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(first_ns: i64, last_ns: i64, flows: Option<u64>) -> Gap {
        Gap { first_ns, last_ns, flows, cause: GapCause::NothingRan }
    }

    #[test]
    fn gaps_stand_by_time_and_the_oldest_of_too_many_are_made_one() {
        let some = in_order(vec![gap(30, 40, None), gap(i64::MIN, 5, None), gap(10, 20, Some(1))]);
        assert_eq!(some, [gap(i64::MIN, 5, None), gap(10, 20, Some(1)), gap(30, 40, None)]);

        let many = in_order((0..70).rev().map(|n| gap(n * 10, n * 10 + 5, Some(1))).collect());
        assert_eq!(many.len(), MAX_GAPS);
        assert_eq!(many[0], gap(0, 65, Some(7)));
        assert_eq!(many[1], gap(70, 75, Some(1)));
        assert_eq!(many.last(), Some(&gap(690, 695, Some(1))));
    }

    #[test]
    fn a_gap_overlaps_what_shares_a_moment_with_it() {
        let gap = gap(10, 20, None);
        for (since_ns, until_ns, overlaps) in
            [(0, 9, false), (0, 10, true), (15, 16, true), (20, 30, true), (21, 30, false)]
        {
            assert_eq!(gap.overlaps(since_ns, until_ns), overlaps, "{since_ns} to {until_ns}");
        }
    }
}
