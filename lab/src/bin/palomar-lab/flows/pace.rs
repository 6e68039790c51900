//! When flows are written: first those of the past, then so many a second.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use palomar_agent::clock::wall_now_ns;
use palomar_model::flow::Flow;

use super::recorder::Recorder;
use crate::interrupt::{Interrupt, Interrupted};

/// Flows of the past came at this pace: that of a busy node.
const PAST_PER_SECOND: u64 = 1_500;
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

/// Writes `count` flows of the time up to `now_ns`.
pub fn fill(
    recorder: &mut Recorder,
    count: u64,
    now_ns: i64,
    mut make: impl FnMut(i64) -> Flow,
    interrupt: &Interrupt,
) -> Result<(), Interrupted> {
    let mut written = 0;
    while written < count {
        interrupt.check()?;
        let end = (written + BATCH).min(count);
        recorder.write((written..end).map(|number| make(past_ns(now_ns, count - number))));
        written = end;
    }
    Ok(())
}

/// When the flow was that is so many flows from the end.
fn past_ns(now_ns: i64, from_end: u64) -> i64 {
    let distance = u128::from(from_end) * u128::from(SECOND_NS / PAST_PER_SECOND);
    now_ns.saturating_sub(i64::try_from(distance).unwrap_or(i64::MAX))
}

/// Writes flows at their pace, each with the time at which it is made, until the user wants to stop.
pub fn keep_up(
    recorder: &mut Recorder,
    per_second: u32,
    mut make: impl FnMut(i64) -> Flow,
    interrupt: &Interrupt,
) -> Live {
    let begin = Instant::now();
    let mut flows = 0;
    while interrupt.check().is_ok() {
        let due = due(per_second, begin.elapsed());
        if flows == due {
            thread::sleep(TICK);
            continue;
        }
        let batch = (due - flows).min(BATCH);
        recorder.write((0..batch).map(|_| make(wall_now_ns())));
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
    fn flows_of_the_past_end_just_before_now_in_order() {
        let times: Vec<i64> = (0..4).map(|number| past_ns(1_000_000_000_000, 4 - number)).collect();
        assert_eq!(times, [999_997_333_336, 999_998_000_002, 999_998_666_668, 999_999_333_334]);
        assert_eq!(past_ns(0, u64::MAX), -i64::MAX);
    }

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
