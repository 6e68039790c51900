//! Writing in the background, with retries.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keeps one file up to date from a thread of its own. What is put while a write is under way, or while writes fail,
/// replaces what waits: the file always becomes the newest state, and nobody waits for a disk. Dropping it tries
/// once more to write what waits.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// How keeping goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeeperStatus {
    /// Writes that worked.
    pub writes: u64,
    /// Writes that failed; each is tried again.
    pub failures: u64,
    /// Why the last write failed; `None` where it worked.
    pub error: Option<String>,
    /// Whether the newest state is not on disk yet.
    pub is_behind: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Makes what is to be written.
type Make = Box<dyn FnOnce() -> Vec<u8> + Send>;

#[derive(Default)]
struct State {
    waiting: Option<Make>,
    is_stopping: bool,
    status: KeeperStatus,
}

// === impl Keeper ===

impl Keeper {
    /// Keeps the file at `path`. Nothing is written before the first [`Self::put`].
    pub fn start(path: &Path) -> Self {
        Self::with_pause(path, FIRST_PAUSE)
    }

    fn with_pause(path: &Path, first_pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        let to = path.to_owned();
        // Without a thread to write, what is put waits for the drop.
        let thread =
            thread::Builder::new().name("state-keeper".into()).spawn(move || work(&worker, &to, first_pause));
        if let Err(error) = &thread {
            tracing::error!(path = %path.display(), %error, "cannot start the thread that keeps this file");
        }
        Self { shared, path: path.to_owned(), thread: thread.ok() }
    }

    /// Makes this the state to keep.
    pub fn put(&self, bytes: Vec<u8>) {
        self.put_made_by(move || bytes);
    }

    /// Makes what this gives the state to keep. The keeper's thread asks for it, unless something newer comes before that.
    pub fn put_made_by(&self, make: impl FnOnce() -> Vec<u8> + Send + 'static) {
        let mut state = self.shared.lock();
        state.waiting = Some(Box::new(make));
        state.status.is_behind = true;
        self.shared.changed.notify_all();
    }

    /// How keeping goes.
    pub fn status(&self) -> KeeperStatus {
        self.shared.lock().status.clone()
    }

    /// Waits until the newest state is on disk, at most this long; whether it is.
    pub fn flush(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest;
        let mut state = self.shared.lock();
        while state.status.is_behind {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by the panic hook.
            drop(thread.join());
        }
        let waiting = self.shared.lock().waiting.take();
        if let Some(make) = waiting
            && let Err(error) = super::write(&self.path, &make())
        {
            tracing::error!(path = %self.path.display(), %error, "cannot keep state; the next start will miss it");
        }
    }
}

// === impl State ===

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, is_stopping, status } = self;
        f.debug_struct("State")
            .field("is_waiting", &waiting.is_some())
            .field("is_stopping", is_stopping)
            .field("status", status)
            .finish()
    }
}

// === impl Shared ===

impl Shared {
    /// No code that holds the lock can leave it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shared: &Shared, path: &Path, first_pause: Duration) {
    let mut pause = first_pause;
    let mut state = shared.lock();
    loop {
        if state.is_stopping {
            return;
        }
        let Some(make) = state.waiting.take() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let bytes = make();
        let written = super::write(path, &bytes);
        state = shared.lock();
        match written {
            Ok(()) => {
                if state.status.error.take().is_some() {
                    tracing::info!(path = %path.display(), "state is kept again");
                }
                state.status.writes += 1;
                state.status.is_behind = state.waiting.is_some();
                pause = first_pause;
                shared.changed.notify_all();
            }
            Err(error) => {
                state.status.failures += 1;
                tracing::error!(path = %path.display(), %error, retry_s = pause.as_secs(), "cannot keep state");
                state.status.error = Some(format!("cannot write {}: {error}", path.display()));
                state.waiting.get_or_insert_with(|| Box::new(move || bytes));
                state = sleep(shared, state, pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Sleeps, unless it is time to stop.
fn sleep<'s>(shared: &'s Shared, mut state: MutexGuard<'s, State>, pause: Duration) -> MutexGuard<'s, State> {
    let end = Instant::now() + pause;
    while !state.is_stopping {
        let Some(left) = end.checked_duration_since(Instant::now()) else { break };
        state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    state
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_newest_state_reaches_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let keeper = Keeper::start(&path);
        for number in 0..50 {
            keeper.put(format!("{number}").into_bytes());
        }
        assert!(keeper.flush(LONG));
        assert_eq!(fs::read(&path).unwrap(), b"49");
        assert_eq!((keeper.status().failures, keeper.status().is_behind), (0, false));
    }

    #[test]
    fn failed_writes_are_counted_named_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("folder");
        fs::write(&blocked, "a file where a folder must be").unwrap();
        let path = blocked.join("state");
        let keeper = Keeper::with_pause(&path, Duration::from_millis(5));
        keeper.put(b"old".to_vec());
        keeper.put(b"new".to_vec());
        while keeper.status().failures < 2 {
            thread::yield_now();
        }
        let status = keeper.status();
        assert!(status.is_behind && status.error.as_ref().unwrap().contains("folder/state"), "{status:?}");

        fs::remove_file(&blocked).unwrap();
        assert!(keeper.flush(LONG));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(keeper.status().error, None);
    }

    #[test]
    fn dropping_it_writes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let keeper = Keeper::start(&path);
        keeper.put(b"last".to_vec());
        drop(keeper);
        assert_eq!(fs::read(&path).unwrap(), b"last");
    }
}
