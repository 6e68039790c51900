//! The kernel's clock and the wall clock, and the one place where they meet.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the Unix epoch, now.
pub fn wall_now_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, in which the kernel stamps events; now.
///
/// # Panics
///
/// Never on Linux, where that clock exists and starts at zero.
pub fn monotonic_now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("invariant: Linux has a monotonic clock");
    let seconds = u64::try_from(now.tv_sec()).expect("invariant: the monotonic clock is not negative");
    let ns = u64::try_from(now.tv_nsec()).expect("invariant: the monotonic clock is not negative");
    seconds * 1_000_000_000 + ns
}

/// What this thread has used of a processor.
///
/// # Panics
///
/// Never on Linux, where every thread has that clock.
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("invariant: Linux has a clock for every thread")
        .into()
}

/// What has to be added to a kernel time to get the wall clock's. Taken anew from time to time, because the wall
/// clock is set and slewed while the kernel's is not: flows of before a step keep the time they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeAnchor {
    offset_ns: i64,
}

// === impl TimeAnchor ===

impl TimeAnchor {
    /// The relation of the two clocks now: the tightest of three readings.
    pub fn now() -> Self {
        let reading = || {
            let before = monotonic_now_ns();
            let wall = wall_now_ns();
            let after = monotonic_now_ns();
            (after - before, Self::new(wall, before + (after - before) / 2))
        };
        let (first, second, third) = (reading(), reading(), reading());
        [second, third].into_iter().fold(first, |best, next| if next.0 < best.0 { next } else { best }).1
    }

    /// Both clocks at one moment.
    pub fn new(wall_ns: i64, monotonic_ns: u64) -> Self {
        Self { offset_ns: wall_ns.saturating_sub_unsigned(monotonic_ns) }
    }

    /// The wall clock's time of a kernel time.
    pub const fn wall_ns(self, monotonic_ns: u64) -> i64 {
        self.offset_ns.saturating_add_unsigned(monotonic_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_moves_kernel_times_to_the_wall_clock_and_never_overflows() {
        let anchor = TimeAnchor::new(1_000, 400);
        assert_eq!(anchor.wall_ns(400), 1_000);
        assert_eq!(anchor.wall_ns(500), 1_100);
        assert_eq!(anchor.wall_ns(u64::MAX), i64::MAX);
    }

    #[test]
    fn the_clocks_of_this_machine_agree_with_their_anchor() {
        let anchor = TimeAnchor::now();
        let difference = wall_now_ns() - anchor.wall_ns(monotonic_now_ns());
        assert!(difference.abs() < 1_000_000_000, "{difference} ns");
    }
}
