//! The kernel as a source of events and of loss counters.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use palomar_bpf::abi::{Counter, Event, InvalidEvent};
use palomar_bpf::{EventReader, Maps};

use super::{EventStream, KernelTotals};
use crate::losses::LossSource;

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
