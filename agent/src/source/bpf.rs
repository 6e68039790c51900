//! The kernel as a source of events and of loss counters.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use palomar_bpf::abi::{Counter, Event, InvalidEvent};
use palomar_bpf::{EventReader, Maps};

use super::{EventStream, KernelTotals};
use crate::losses::LossSource;

const TOLD: [Counter; 3] = [Counter::ToldDrop, Counter::ToldTrace, Counter::ToldPolicyVerdict];
const COUNTERS: [(LossSource, Counter); 4] = [
    (LossSource::RateLimited, Counter::Suppressed),
    (LossSource::KernelRingDrop, Counter::LostDrop),
    (LossSource::KernelRingTrace, Counter::LostTrace),
    (LossSource::KernelRingPolicyVerdict, Counter::LostPolicyVerdict),
];

impl EventStream for EventReader {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        Self::wait(self, timeout)
    }

    fn drain(&mut self, max: usize, each: &mut dyn FnMut(Result<Event, InvalidEvent>)) -> usize {
        Self::drain(self, max, each)
    }
}

impl KernelTotals for Arc<Maps> {
    fn totals(&self) -> io::Result<Vec<(LossSource, u64)>> {
        COUNTERS
            .into_iter()
            .map(|(source, counter)| Ok((source, self.counters.get(counter).map_err(io::Error::other)?)))
            .collect()
    }

    fn told(&self) -> io::Result<u64> {
        TOLD.into_iter().map(|counter| self.counters.get(counter).map_err(io::Error::other)).sum()
    }
}

/// Two readers one after the other: what an earlier agent's ring still holds comes first.
pub struct InOrder {
    retired: Option<EventReader>,
    current: EventReader,
}

impl InOrder {
    /// `retired` is drained until it is empty, before anything of `current`; programs that no interface uses any more
    /// write to it no longer.
    pub fn new(retired: Option<EventReader>, current: EventReader) -> Self {
        Self { retired, current }
    }

    /// How many of the events that the programs told were read before: by an earlier agent. Exact unless the programs
    /// tell something in each of many short moments.
    pub fn read_before(&self, maps: &Arc<Maps>) -> io::Result<u64> {
        let waiting = || self.current.waiting() + self.retired.as_ref().map_or(0, EventReader::waiting);
        let mut before = waiting();
        let mut tries = 0..1_000;
        loop {
            let told = maps.told()?;
            let after = waiting();
            if before == after || tries.next().is_none() {
                return Ok(told.saturating_sub(after));
            }
            before = after;
        }
    }
}

impl EventStream for InOrder {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.current.wait(timeout)
    }

    fn drain(&mut self, max: usize, each: &mut dyn FnMut(Result<Event, InvalidEvent>)) -> usize {
        if let Some(retired) = &mut self.retired {
            let drained = retired.drain(max, &mut *each);
            if drained > 0 {
                return drained;
            }
            self.retired = None;
        }
        self.current.drain(max, each)
    }
}
