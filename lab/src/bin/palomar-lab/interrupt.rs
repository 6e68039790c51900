//! Ctrl-C and SIGTERM: noticed at the next step, so that what was built is removed on the way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// How often a wait looks up.
const TICK: Duration = Duration::from_millis(20);
/// What a shell reports for a program that Ctrl-C has ended.
const EXIT_STATUS: i32 = 130;

/// Whether the user wants to stop.
#[derive(Debug)]
pub struct Interrupt {
    wanted: Arc<AtomicBool>,
}

/// The user wants to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

// === impl Interrupt ===

impl Interrupt {
    /// Takes the signals over. A second one ends the process at once; what is left is in the lab's record.
    pub fn install() -> anyhow::Result<Self> {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, EXIT_STATUS, Arc::clone(&wanted))?;
            flag::register(signal, Arc::clone(&wanted))?;
        }
        Ok(Self { wanted })
    }

    /// An error once the user wants to stop.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.wanted.load(Ordering::Acquire) { Err(Interrupted) } else { Ok(()) }
    }

    /// Waits for the user.
    pub fn wait(&self) {
        while self.check().is_ok() {
            thread::sleep(TICK);
        }
    }

    /// Asks again and again until there is an answer; `None` if there is none within `timeout`.
    pub fn poll<T>(
        &self,
        timeout: Duration,
        mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<Option<T>> {
        let deadline = Instant::now() + timeout;
        loop {
            self.check()?;
            let answer = ask()?;
            if answer.is_some() || Instant::now() >= deadline {
                return Ok(answer);
            }
            thread::sleep(TICK);
        }
    }
}
