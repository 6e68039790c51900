//! The queue between the thread that reads the kernel and the one that enriches: one sender, one receiver.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::progress::{Progress, ProgressMade};
use palomar_bpf::abi::Event;
use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// A queue for so many events, at least one.
pub fn queue(capacity: usize) -> (EventSender, EventReceiver) {
    let (events, taken) = HeapRb::new(capacity.max(1)).split();
    let (bell, progress) = (Arc::new(Bell::default()), Arc::new(Progress::default()));
    (
        EventSender { events, bell: Arc::clone(&bell), progress: Arc::clone(&progress) },
        EventReceiver { events: taken, bell, progress },
    )
}

/// Puts events in. The queue is closed when it is dropped.
pub struct EventSender {
    events: HeapProd<Event>,
    bell: Arc<Bell>,
    progress: Arc<Progress>,
}

/// Takes events out.
pub struct EventReceiver {
    events: HeapCons<Event>,
    bell: Arc<Bell>,
    progress: Arc<Progress>,
}

/// Wakes the receiver: one wake-up for many events.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

// === impl EventSender ===

impl EventSender {
    /// Puts in as many of these events as fit, in order, and gives their number. The others are lost.
    pub fn send(&mut self, events: &[Event]) -> usize {
        self.events.push_slice(events)
    }

    /// Says that all events of before this moment, of the kernel's clock, were sent or counted as lost.
    pub fn emptied(&self, at_ns: u64) {
        self.progress.emptied(at_ns);
    }

    /// Says that what the kernel lost before this moment has been counted.
    pub fn counted(&self, at_ns: u64) {
        self.progress.counted(at_ns);
    }

    /// Wakes the receiver.
    pub fn wake(&self) {
        self.bell.ring();
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

// === impl EventReceiver ===

impl EventReceiver {
    /// Lends up to `max` events to `each`, in order, and gives their number; there may be more. Their places are free
    /// after that. `each` is not called where there are none.
    pub fn take(&mut self, max: usize, each: impl FnOnce(&[Event])) -> usize {
        let (events, _) = self.events.as_slices();
        let count = events.len().min(max);
        if count > 0 {
            each(&events[..count]);
            self.events.skip(count);
        }
        count
    }

    /// How far the sender has come. What it says is true of the queue once that has been emptied after this.
    pub fn progress(&self) -> ProgressMade {
        self.progress.made()
    }

    /// Whether the sender has gone. Events may still be in the queue.
    pub fn is_closed(&self) -> bool {
        !self.events.write_is_held()
    }

    /// Waits until the sender wakes or goes, at most for `timeout`. Does not wait if it was woken since the last
    /// wait.
    pub fn wait(&self, timeout: Duration) {
        self.bell.wait(timeout);
    }
}

// === impl Bell ===

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("invariant: nothing panics while it holds the bell") = true;
        self.changed.notify_one();
    }

    fn wait(&self, timeout: Duration) {
        let rung = self.rung.lock().expect("invariant: nothing panics while it holds the bell");
        let (mut rung, _) = self
            .changed
            .wait_timeout_while(rung, timeout, |rung| !*rung)
            .expect("invariant: nothing panics while it holds the bell");
        *rung = false;
    }
}
