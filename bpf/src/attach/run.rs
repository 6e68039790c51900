//! Running a program without an interface.

use std::io;
use std::time::Duration;

use super::Attacher;
use crate::abi::Direction;
use crate::sys;

/// What a program made of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestRun {
    /// What it returned, the last time.
    pub verdict: i32,
    /// The mean time of one run; the kernel's own part in it is about 30 ns.
    pub mean: Duration,
}

impl Attacher {
    /// Runs the program of a direction on an Ethernet frame, so many times, with all that it does: events, counters,
    /// connections. The packet is of the loopback interface, index 1 in every network namespace. For tests and
    /// benches.
    pub fn test_run(&self, direction: Direction, frame: &[u8], times: u32) -> io::Result<TestRun> {
        let run = sys::program::test_run(self.programs.of(direction), frame, times)?;
        Ok(TestRun { verdict: run.returned.cast_signed(), mean: Duration::from_nanos(run.mean_ns.into()) })
    }
}
