//! What the steps of a pass cost.

use std::time::Duration;

use crate::clock::thread_time;

/// What each step of a pass took of a processor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    /// Giving numbers to pods.
    pub identities: Duration,
    /// Making the directory.
    pub directory: Duration,
    /// Saying what the kernel is to hold.
    pub wanted: Duration,
    /// Compiling policy, and writing the kernel's tables.
    pub enforce: Duration,
    /// Remembering since when objects are in force.
    pub history: Duration,
    /// Telling the API and the agent's events.
    pub tell: Duration,
}

/// Tells one step from the next.
#[derive(Debug)]
pub(super) struct Stopwatch(Duration);

// === impl Stopwatch ===

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(thread_time())
    }

    /// What has been used since the last lap.
    pub(super) fn lap(&mut self) -> Duration {
        let now = thread_time();
        now.saturating_sub(std::mem::replace(&mut self.0, now))
    }
}
