//! Which flows may lie in a window of time, without looking at each.
//!
//! Flows stand in the order of arrival, and the clock may have been set back or forward in between: only a block
//! whose times all lie outside the window is left out.

use std::ops::Range;

use super::block::Times;
use super::{BATCH, Ring};

/// A window of time, both ends included, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    /// The first moment inside; `i64::MIN` for no bound.
    pub since_ns: i64,
    /// The last moment inside; `i64::MAX` for no bound.
    pub until_ns: i64,
}

/// The part of a block that one round wrote.
struct Part {
    range: Range<u64>,
    times: Times,
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
            match self.part(at) {
                Some(part) if !window.meets(part.times) => at = part.range.end,
                _ => break,
            }
        }
        at.min(range.end)
    }

    /// The last sequence number of `range` plus one, or its start, behind which no flow of the range lies in the
    /// window.
    pub fn skip_back_to(&self, range: Range<u64>, window: TimeWindow) -> u64 {
        let mut end = range.end;
        while end > range.start && window != TimeWindow::ALL {
            match self.part(end - 1) {
                Some(part) if !window.meets(part.times) => end = part.range.start,
                _ => break,
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
            match self.part(at) {
                Some(part) if part.times.least_ns >= since_ns => {
                    let upto = part.range.end.min(end);
                    count += upto - at;
                    at = upto;
                }
                Some(part) if !window.meets(part.times) => at = part.range.end,
                _ => {
                    let batch = self.read(at..end, &mut records);
                    count += records.iter().filter(|record| window.holds(record.time_ns)).count() as u64;
                    at = batch.first + records.len() as u64;
                }
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

    /// The part of its block that holds a flow; `None` if it was overwritten or not yet written.
    fn part(&self, sequence: u64) -> Option<Part> {
        let block = self.block(sequence);
        let written = self.written();
        if sequence < self.oldest() || sequence >= written {
            return None;
        }
        if sequence >= block.start {
            // flows that are still to come may have any time
            let end = written.min(block.start + self.block_len);
            return Some(Part { range: block.start..end, times: block.now });
        }
        let start = block.start - self.capacity.slots();
        Some(Part { range: start..start + self.block_len, times: block.before })
    }
}
