//! Time on the processor.

use std::fs;
use std::time::Duration;

/// Time that this thread has had on a processor: on a busy machine the clock tells of others as well.
fn thread_time() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let nanoseconds = told.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first number is nanoseconds"))
}

/// The time that `work` takes on the processor, so many times over.
pub fn timed(rounds: u64, mut work: impl FnMut()) -> Duration {
    let start = thread_time();
    (0..rounds).for_each(|_| work());
    thread_time().saturating_sub(start)
}
