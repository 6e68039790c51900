//! Reads the ring and counts: each flow once, or as missed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_model::object::ObjectName;

use super::exposition::{Exposition, Labels};
use super::flow_metrics::FlowMetrics;
use crate::ring::{BATCH, Record, Ring};

/// The longest time that flows wait in the ring to be counted together, unless a scrape asks for them.
const LONGEST_NAP: Duration = Duration::from_millis(20);
/// Flows a second for which the ring has room during a nap, four times over.
const FLOWS_PER_SECOND: u64 = 1_000_000;

/// A reader of the ring that counts what it reads.
#[derive(Debug)]
pub struct Follower {
    ring: Arc<Ring>,
    flows: FlowMetrics,
    next: u64,
    read: u64,
    missed: u64,
    records: Vec<Record>,
}

// === impl Follower ===

impl Follower {
    /// A follower that begins with the flow of this sequence number.
    pub fn new(ring: Arc<Ring>, flows: FlowMetrics, next: u64) -> Self {
        Self { ring, flows, next, read: 0, missed: 0, records: Vec::with_capacity(BATCH) }
    }

    /// The sequence number of the flow that it will read next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Counts one batch; false if there was none.
    pub fn step(&mut self) -> bool {
        let batch = self.ring.read(self.next..u64::MAX, &mut self.records);
        self.next = batch.first + self.records.len() as u64;
        self.read += self.records.len() as u64;
        self.missed += batch.missed;
        self.flows.count(&self.records, &batch.names);
        !self.records.is_empty()
    }

    /// Counts all flows that are in the ring now.
    pub fn catch_up(&mut self) {
        let end = self.ring.written();
        while self.next < end && self.step() {}
    }

    /// How long to let flows gather: the less the ring holds, the shorter.
    pub fn nap(&self) -> Duration {
        let room = self.ring.capacity().flows() / 4;
        Duration::from_micros(room * 1_000_000 / FLOWS_PER_SECOND).min(LONGEST_NAP)
    }

    /// Removes the series of pods that have been gone for a minute.
    pub fn forget_gone(&mut self, exists: impl Fn(&ObjectName) -> bool, now: Instant) {
        self.flows.forget_gone(exists, now);
    }

    /// Writes all series.
    pub fn expose(&self, out: &mut Exposition) {
        self.flows.expose(out);
        out.counter("palomar_metrics_flows_read", "Flows that were read to be counted.")
            .sample(&Labels::NONE, self.read);
        out.counter(
            "palomar_metrics_flows_missed",
            "Flows that were overwritten before they could be counted.",
        )
        .sample(&Labels::NONE, self.missed);
    }
}
