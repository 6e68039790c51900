//! The recent-flow ring: the last flows of this node, one writer, many readers.
//!
//! Flows are [`Record`]s of fixed size in blocks of up to 1,024; a block's memory is taken when its first flow
//! arrives. What repeats (endpoints, services, interfaces, policies) is interned: a record holds numbers, and
//! [`Names`] says what they mean. Every flow has a sequence number, counted from 0, that is its place in the
//! order of arrival:
//!
//! ```text
//!  slot   0     1     2     3     4     5     6     7         slots = capacity + 1 = 8
//!       +-----+-----+-----+-----+-----+-----+-----+-----+
//!  holds|  8  |  9  | 10  |  3  |  4  |  5  |  6  |  7  |     sequence % slots = slot
//!       +-----+-----+-----+-----+-----+-----+-----+-----+
//!                            ^ next to be overwritten; no longer readable
//!                   ^ newest: written - 1        oldest: written - capacity = 4
//! ```
//!
//! A reader copies at most [`BATCH`] records out of one block under its lock, so the writer never waits long; one
//! that is overtaken is told how many flows it missed.

mod block;
mod capacity;
mod epochs;
mod id;
mod interner;
mod names;
mod record;
pub mod saved;
mod stretch;
mod table;
mod time_index;
mod uuid;
mod writer;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use block::{BLOCK_LEN, Block};
pub use capacity::{Capacity, InvalidCapacity};
pub use id::{EndpointId, InterfaceId, PoliciesId, RestId, ServiceId};
pub use names::{Interface, Names};
pub use record::Record;
use stretch::Stretch;
pub use table::Table;
pub use time_index::TimeWindow;
pub use uuid::{FlowUuids, UuidRun};
pub use writer::Writer;

/// How many records a reader copies at once at most.
pub const BATCH: usize = 256;

/// Blocks in a group, unless the whole ring is smaller.
const GROUP_BLOCKS: u64 = 128;

/// What readers share. Made by [`Ring::new`] together with the only [`Writer`].
#[derive(Debug)]
pub struct Ring {
    capacity: Capacity,
    blocks: Box<[RwLock<Block>]>,
    block_len: u64,
    /// The times of so many blocks each.
    groups: Box<[RwLock<Stretch>]>,
    group_len: u64,
    /// Sequence number of the next flow: how many were ever written. Stored under the lock of the block that
    /// the flow went to, so that under a block's lock it tells which of the block's records are whole.
    written: AtomicU64,
    names: ArcSwap<Names>,
    arrivals: Notify,
    uuids: FlowUuids,
    /// How many of the flows written were seen by an earlier agent.
    restored: AtomicU64,
}

/// What one [`Ring::read`] found beside the records.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Sequence number of the first record copied; where to go on from if none was.
    pub first: u64,
    /// How many flows of the range were overwritten before they could be read.
    pub missed: u64,
    /// The meaning of the records' numbers. Good for exactly the records of this batch.
    pub names: Arc<Names>,
}

// === impl Ring ===

impl Ring {
    /// An empty ring. It takes memory as it fills.
    pub fn new(capacity: Capacity) -> (Writer, Arc<Self>) {
        Self::with_uuids(capacity, FlowUuids::random())
    }

    /// An empty ring whose flows have these UUIDs.
    pub fn with_uuids(capacity: Capacity, uuids: FlowUuids) -> (Writer, Arc<Self>) {
        Self::with_lengths(capacity, BLOCK_LEN, BLOCK_LEN * GROUP_BLOCKS, uuids)
    }

    /// With so many flows in a block and in a group, powers of two both.
    fn with_lengths(
        capacity: Capacity,
        block_len: u64,
        group_len: u64,
        uuids: FlowUuids,
    ) -> (Writer, Arc<Self>) {
        let slots = capacity.slots();
        let (block_len, group_len) = (slots.min(block_len), slots.min(group_len));
        let ring = Arc::new(Self {
            capacity,
            blocks: (0..slots / block_len).map(|_| RwLock::default()).collect(),
            block_len,
            groups: (0..slots / group_len).map(|_| RwLock::default()).collect(),
            group_len,
            written: AtomicU64::new(0),
            names: ArcSwap::default(),
            arrivals: Notify::new(),
            uuids,
            restored: AtomicU64::new(0),
        });
        (Writer::new(Arc::clone(&ring)), ring)
    }

    /// How many flows the ring holds at most.
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// How many flows were ever written: also the sequence number of the next.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Says that what was written so far was seen by an earlier agent.
    fn set_restored(&self) {
        self.restored.store(self.written(), Ordering::Relaxed);
    }

    /// How many flows this agent has seen: those written, without those that an earlier agent left.
    pub fn seen(&self) -> u64 {
        self.written() - self.restored.load(Ordering::Relaxed)
    }

    /// The sequence number of the oldest flow that can be read; that of the next one while the ring is empty.
    pub fn oldest(&self) -> u64 {
        self.written().saturating_sub(self.capacity.flows())
    }

    /// How many flows can be read now.
    pub fn len(&self) -> u64 {
        self.written().min(self.capacity.flows())
    }

    /// Whether no flow was written yet.
    pub fn is_empty(&self) -> bool {
        self.written() == 0
    }

    /// The UUIDs of this ring's flows.
    pub const fn uuids(&self) -> &FlowUuids {
        &self.uuids
    }

    /// What the numbers of records mean now. For records use the names that came with them.
    pub fn names(&self) -> Arc<Names> {
        self.names.load_full()
    }

    /// Copies the first readable flows of `range` to `into`, which it empties before: at most [`BATCH`], none if
    /// the range holds none. An end beyond the newest flow is allowed.
    pub fn read(&self, range: Range<u64>, into: &mut Vec<Record>) -> Batch {
        self.read_at_most(BATCH, range, into)
    }

    /// [`Ring::read`] of so many flows at most. Flows that were overwritten do not count: none is copied only if
    /// the range holds none.
    pub fn read_at_most(&self, most: usize, range: Range<u64>, into: &mut Vec<Record>) -> Batch {
        into.clear();
        let mut first = range.start;
        loop {
            let written = self.written();
            first = first.max(written.saturating_sub(self.capacity.flows()));
            let end = range.end.min(written);
            if first >= end {
                let first = first.min(range.end).max(range.start);
                return Batch { first, missed: first - range.start, names: self.names() };
            }
            let block = self.block(first);
            // The writer is out of this block until the lock goes, so what is readable now stays whole, and the
            // names that its records use stay in the table (see `Writer::sweep`).
            if first < self.oldest() {
                continue;
            }
            let at = self.place(first);
            let count = usize::try_from(end - first).unwrap_or(usize::MAX).min(most);
            let records = &block.records[at..];
            into.extend_from_slice(&records[..records.len().min(count)]);
            return Batch { first, missed: first - range.start, names: self.names() };
        }
    }

    /// Copies the last readable flows of `range`, as [`Ring::read`] does with the first ones: for reading backwards.
    /// What was overwritten is not told as missed.
    pub fn read_back(&self, range: Range<u64>, into: &mut Vec<Record>) -> Batch {
        let end = range.end.min(self.written());
        let batch_start = end.saturating_sub(BATCH as u64);
        let block_start = end.saturating_sub(1) / self.block_len * self.block_len;
        let start = batch_start.max(block_start).max(range.start).min(end);
        self.read(start..end, into)
    }

    /// Waits until a flow with this sequence number, or a later one, was written.
    pub async fn wait_for(&self, sequence: u64) {
        loop {
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            // from here on a notification is kept, so that a flow written after the check is not missed
            arrival.as_mut().enable();
            if self.written() > sequence {
                return;
            }
            arrival.await;
        }
    }

    fn block(&self, sequence: u64) -> RwLockReadGuard<'_, Block> {
        self.slot(sequence).read().expect("invariant: nothing panics while it holds a block's lock")
    }

    fn slot(&self, sequence: u64) -> &RwLock<Block> {
        let block = (sequence % self.capacity.slots()) / self.block_len;
        &self.blocks[usize::try_from(block).expect("invariant: there are as many blocks as usize can count")]
    }

    fn group(&self, sequence: u64) -> &RwLock<Stretch> {
        let group = (sequence % self.capacity.slots()) / self.group_len;
        &self.groups[usize::try_from(group).expect("invariant: there are fewer groups than blocks")]
    }

    /// Position of a flow in its block.
    fn place(&self, sequence: u64) -> usize {
        usize::try_from(sequence % self.block_len).expect("invariant: a block is small")
    }
}
