//! A run of records behind one lock, with the least and the greatest time in it.

use super::record::Record;

/// Records in a block, unless the whole ring is smaller.
pub const BLOCK_LEN: u64 = 1_024;

/// While it is written anew, the places before the write position are of this round and those behind it of the
/// round before; each round has its own times.
#[derive(Debug, Default)]
pub struct Block {
    /// Sequence number of the record at place 0.
    pub start: u64,
    /// Empty until the block is first written; never shrinks.
    pub records: Vec<Record>,
    pub now: Times,
    pub before: Times,
}

/// The least and the greatest time of some records; the least is greater than the greatest if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub least_ns: i64,
    pub greatest_ns: i64,
}

// === impl Block ===

impl Block {
    /// Stores records from `place` on. `len` is how many the block holds when full.
    pub fn store(&mut self, sequence: u64, place: usize, records: &[Record], len: usize) {
        if place == 0 {
            self.start = sequence;
            self.before = std::mem::take(&mut self.now);
            self.records.reserve_exact(len - self.records.len());
        }
        let (over, append) = records.split_at(self.records.len().saturating_sub(place).min(records.len()));
        self.records[place..place + over.len()].copy_from_slice(over);
        self.records.extend_from_slice(append);
        for record in records {
            self.now.add(record.time_ns);
        }
    }
}

// === impl Times ===

impl Times {
    fn add(&mut self, time_ns: i64) {
        self.least_ns = self.least_ns.min(time_ns);
        self.greatest_ns = self.greatest_ns.max(time_ns);
    }
}

impl Default for Times {
    fn default() -> Self {
        Self { least_ns: i64::MAX, greatest_ns: i64::MIN }
    }
}
