//! When flows are written: first those of the past, then so many a second.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use palomar_agent::clock::wall_now_ns;

use super::feed::Feed;
use super::recorder::Recorder;
use crate::interrupt::{Interrupt, Interrupted};

/// Flows written at once at most: a reader sees them together.
const BATCH: u64 = 256;
/// Sleep between two looks at the clock.
const TICK: Duration = Duration::from_millis(1);
const SECOND_NS: u64 = 1_000_000_000;

/// What was written while serving. Prints as a sentence without a full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    wanted_per_second: u32,
    flows: u64,
    elapsed: Duration,
}

/// Writes `count` flows of the time before serving.
pub fn fill(
    recorder: &mut Recorder,
    feed: &mut Feed,
    count: u64,
    interrupt: &Interrupt,
) -> Result<(), Interrupted> {
    let (mut written, now_ns) = (0, wall_now_ns());
    while written < count {
        interrupt.check()?;
        let end = (written + BATCH).min(count);
        recorder.write((written..end).map(|number| feed.past(count - number, now_ns)));
        written = end;
    }
    Ok(())
}

/// Writes flows at their pace, each with the time at which it is made, until the user wants to stop.
pub fn keep_up(recorder: &mut Recorder, feed: &mut Feed, per_second: u32, interrupt: &Interrupt) -> Live {
    let begin = Instant::now();
    let mut flows = 0;
    while interrupt.check().is_ok() {
        let due = due(per_second, begin.elapsed());
        if flows == due {
            thread::sleep(TICK);
            continue;
        }
        let batch = (due - flows).min(BATCH);
        recorder.write((0..batch).map(|_| feed.live(wall_now_ns())));
        flows += batch;
    }
    Live { wanted_per_second: per_second, flows, elapsed: begin.elapsed() }
}

/// How many flows must be written by then.
fn due(per_second: u32, elapsed: Duration) -> u64 {
    let flows = u128::from(per_second) * elapsed.as_nanos() / u128::from(SECOND_NS);
    u64::try_from(flows).unwrap_or(u64::MAX)
}

// === impl Live ===

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted_per_second, flows, elapsed } = self;
        let nanoseconds = elapsed.as_nanos().max(1);
        let per_second = u128::from(*flows) * u128::from(SECOND_NS) / nanoseconds;
        write!(f, "wrote {flows} flows in {:.1} s", elapsed.as_secs_f64())?;
        if *wanted_per_second > 0 {
            write!(f, ": {per_second} a second of {wanted_per_second}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_due_as_the_pace_says() {
        for (per_second, millis, expected) in [
            (0, 9_999, 0),
            (1, 999, 0),
            (1, 1_000, 1),
            (1_500, 10, 15),
            (10_000_000, 3_600_000, 36_000_000_000),
        ] {
            assert_eq!(due(per_second, Duration::from_millis(millis)), expected, "{per_second} {millis}");
        }
    }

    #[test]
    fn what_was_written_is_told_with_the_pace_that_was_reached() {
        let live =
            |wanted_per_second, flows| Live { wanted_per_second, flows, elapsed: Duration::from_secs(2) };
        assert_eq!(live(100, 150).to_string(), "wrote 150 flows in 2.0 s: 75 a second of 100");
        assert_eq!(live(0, 0).to_string(), "wrote 0 flows in 2.0 s");
    }
}
