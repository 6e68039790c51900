//! A run of records behind one lock, with the least and the greatest time in it.

use super::record::Record;
use super::stretch::{Stretch, Times};

/// Records in a block, unless the whole ring is smaller.
pub const BLOCK_LEN: u64 = 1_024;

/// While it is written anew, the places before the write position are of this round and those behind it of the
/// round before.
#[derive(Debug, Default)]
pub struct Block {
    pub stretch: Stretch,
    /// Empty until the block is first written; never shrinks.
    pub records: Vec<Record>,
}

// === impl Block ===

impl Block {
    /// Stores records, whose times these are, from `place` on. `len` is how many the block holds when full.
    pub fn store(&mut self, sequence: u64, place: usize, records: &[Record], times: Times, len: usize) {
        if place == 0 {
            self.stretch.begin(sequence);
            self.records.reserve_exact(len - self.records.len());
        }
        let (over, append) = records.split_at(self.records.len().saturating_sub(place).min(records.len()));
        self.records[place..place + over.len()].copy_from_slice(over);
        self.records.extend_from_slice(append);
        self.stretch.add(times);
    }
}
