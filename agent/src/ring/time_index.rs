//! Which flows may lie in a window of time, without looking at each.
//!
//! Flows stand in the order of arrival, and the clock may have been set back or forward in between: only a block
//! whose times all lie outside the window is left out. Blocks stand in groups, and a group whose times all lie outside
//! is left out as a whole: however large the ring, a window is found by a few hundred looks.

use std::ops::Range;

use super::stretch::{Part, Times};
use super::{BATCH, Ring};

/// A window of time, both ends included, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    /// The first moment inside; `i64::MIN` for no bound.
    pub since_ns: i64,
    /// The last moment inside; `i64::MAX` for no bound.
    pub until_ns: i64,
}

// === impl TimeWindow ===

impl TimeWindow {
    /// All time.
    pub const ALL: Self = Self { since_ns: i64::MIN, until_ns: i64::MAX };

    /// Whether a moment lies inside.
    pub const fn holds(self, time_ns: i64) -> bool {
        self.since_ns <= time_ns && time_ns <= self.until_ns
    }

    const fn meets(self, times: Times) -> bool {
        self.since_ns <= times.greatest_ns && times.least_ns <= self.until_ns
    }
}

// === impl Ring ===

impl Ring {
    /// The first sequence number of `range`, or its end, before which no flow of the range lies in the window.
    pub fn skip_to(&self, range: Range<u64>, window: TimeWindow) -> u64 {
        let mut at = range.start;
        while at < range.end && window != TimeWindow::ALL {
            match self.outside(at, window) {
                Some(outside) => at = outside.end,
                None => break,
            }
        }
        at.min(range.end)
    }

    /// The last sequence number of `range` plus one, or its start, behind which no flow of the range lies in the
    /// window.
    pub fn skip_back_to(&self, range: Range<u64>, window: TimeWindow) -> u64 {
        let mut end = range.end;
        while end > range.start && window != TimeWindow::ALL {
            match self.outside(end - 1, window) {
                Some(outside) => end = outside.start,
                None => break,
            }
        }
        end.max(range.start)
    }

    /// How many readable flows are of this moment or later.
    pub fn count_since(&self, since_ns: i64) -> u64 {
        let window = TimeWindow { since_ns, until_ns: i64::MAX };
        let mut records = Vec::with_capacity(BATCH);
        let (mut at, end) = (self.oldest(), self.written());
        let mut count = 0;
        while at < end {
            if let Some(inside) = self.part_where(at, |times| times.least_ns >= since_ns) {
                let upto = inside.end.min(end);
                count += upto - at;
                at = upto;
            } else if let Some(outside) = self.outside(at, window) {
                at = outside.end;
            } else {
                let batch = self.read(at..end, &mut records);
                count += records.iter().filter(|record| window.holds(record.time_ns)).count() as u64;
                at = batch.first + records.len() as u64;
            }
        }
        count
    }

    /// The time of the oldest readable flow; `None` while there is none.
    pub fn oldest_time_ns(&self) -> Option<i64> {
        let mut records = Vec::with_capacity(1);
        let oldest = self.oldest();
        // the writer may overtake this reader between the two lines: then the next batch is as good
        self.read(oldest..u64::MAX, &mut records);
        records.first().map(|record| record.time_ns)
    }

    /// Readable flows around this one that all lie outside a window; `None` if there may be one inside.
    fn outside(&self, sequence: u64, window: TimeWindow) -> Option<Range<u64>> {
        self.part_where(sequence, |times| !window.meets(times))
    }

    /// The part of a group, or else of a block, that holds a readable flow and whose times are as wanted.
    fn part_where(&self, sequence: u64, wanted: impl Fn(Times) -> bool) -> Option<Range<u64>> {
        let is_wanted = |part: &Part| wanted(part.times);
        let part = self.group_part(sequence).filter(is_wanted);
        part.or_else(|| self.block_part(sequence).filter(is_wanted)).map(|part| part.range)
    }

    /// The part of its group that holds a flow; `None` if it was overwritten or not yet written.
    fn group_part(&self, sequence: u64) -> Option<Part> {
        let group =
            self.group(sequence).read().expect("invariant: nothing panics while it holds a group's lock");
        // The times of what was written are in the group, because the writer puts them there before it tells that it
        // has written, and it does neither while the lock is held.
        let written = self.written();
        let slots = self.capacity.slots();
        self.is_readable(sequence, written).then(|| group.part(sequence, self.group_len, slots, written))
    }

    /// The part of its block that holds a flow; `None` if it was overwritten or not yet written.
    fn block_part(&self, sequence: u64) -> Option<Part> {
        let block = self.block(sequence);
        let written = self.written();
        let slots = self.capacity.slots();
        self.is_readable(sequence, written)
            .then(|| block.stretch.part(sequence, self.block_len, slots, written))
    }

    fn is_readable(&self, sequence: u64, written: u64) -> bool {
        sequence < written && sequence >= written.saturating_sub(self.capacity.flows())
    }
}
