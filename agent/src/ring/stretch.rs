//! The least and the greatest time in a stretch of slots, which is written anew with each round of the ring.

use std::ops::Range;

/// While a stretch is written anew, the places before the write position are of this round and those behind it of the
/// round before; each round has its own times.
#[derive(Debug, Default)]
pub struct Stretch {
    /// Sequence number of the flow at the first place.
    start: u64,
    now: Times,
    before: Times,
}

/// The least and the greatest time of some records; the least is greater than the greatest if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub least_ns: i64,
    pub greatest_ns: i64,
}

/// The part of a stretch that one round wrote.
#[derive(Debug, Clone)]
pub struct Part {
    pub range: Range<u64>,
    pub times: Times,
}

// === impl Stretch ===

impl Stretch {
    /// Begins a round with this flow.
    pub fn begin(&mut self, sequence: u64) {
        self.start = sequence;
        self.before = std::mem::take(&mut self.now);
    }

    /// Takes in the times of flows that are written now.
    pub fn add(&mut self, times: Times) {
        self.now.add(times);
    }

    /// The part that holds a readable flow. `len` is how many flows the stretch holds, `slots` how many the ring, and
    /// `written` how many were written.
    pub fn part(&self, sequence: u64, len: u64, slots: u64, written: u64) -> Part {
        if sequence >= self.start {
            // flows that are still to come may have any time
            return Part { range: self.start..written.min(self.start + len), times: self.now };
        }
        let start = self.start - slots;
        Part { range: start..start + len, times: self.before }
    }
}

// === impl Times ===

impl Times {
    /// The times of some flows.
    pub fn of(times_ns: impl Iterator<Item = i64>) -> Self {
        times_ns.fold(Self::default(), |times, ns| Self {
            least_ns: times.least_ns.min(ns),
            greatest_ns: times.greatest_ns.max(ns),
        })
    }

    fn add(&mut self, other: Self) {
        self.least_ns = self.least_ns.min(other.least_ns);
        self.greatest_ns = self.greatest_ns.max(other.greatest_ns);
    }
}

impl Default for Times {
    fn default() -> Self {
        Self { least_ns: i64::MAX, greatest_ns: i64::MIN }
    }
}
