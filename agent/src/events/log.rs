//! The newest events, numbered in the order in which they came.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::AgentEvent;

/// Events that are kept, as many as Hubble keeps events of all kinds; about 250 bytes each.
pub const CAPACITY: usize = 4_095;

/// An event and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// What happened.
    pub event: AgentEvent,
}

/// The newest events: when there are too many, the oldest make room. One writer, any number of readers, who hold up
/// nobody.
#[derive(Debug)]
pub struct AgentEvents {
    kept: Mutex<Kept>,
    capacity: usize,
    /// The number that the next event will have.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the oldest.
    first: u64,
    events: VecDeque<Arc<Told>>,
}

/// Some events that follow each other.
#[derive(Debug, Default)]
pub struct Batch {
    /// The number of the first of them. Greater than asked for where events have made room meanwhile.
    pub first: u64,
    /// The events; empty where there are no newer ones.
    pub events: Vec<Arc<Told>>,
}

// === impl AgentEvents ===

impl AgentEvents {
    /// No events, and room for so many.
    pub fn new(capacity: usize) -> Self {
        Self { kept: Mutex::default(), capacity, next: watch::Sender::new(0) }
    }

    /// Adds events of one time, in their order.
    pub fn tell(&self, time_ns: i64, events: impl IntoIterator<Item = AgentEvent>) {
        let mut kept = self.lock();
        kept.events.extend(events.into_iter().map(|event| Arc::new(Told { time_ns, event })));
        let too_many = kept.events.len().saturating_sub(self.capacity);
        kept.events.drain(..too_many);
        kept.first += too_many as u64;
        let next = kept.range().end;
        drop(kept);
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
    }

    /// The numbers of the events that are kept.
    pub fn range(&self) -> Range<u64> {
        self.lock().range()
    }

    /// The oldest of the kept events from this number on, at most so many.
    pub fn read(&self, from: u64, most: usize) -> Batch {
        let kept = self.lock();
        let first = from.max(kept.first);
        let skip = usize::try_from(first - kept.first).unwrap_or(usize::MAX);
        Batch { first, events: kept.events.iter().skip(skip).take(most).cloned().collect() }
    }

    /// Waits until there is an event of this number, or was.
    pub async fn wait_for(&self, number: u64) {
        // an error means that the sender has gone, which is here
        let _ = self.next.subscribe().wait_for(|next| *next > number).await;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // whoever died in here left events and their number together, or fewer events
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for AgentEvents {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

// === impl Kept ===

impl Kept {
    fn range(&self) -> Range<u64> {
        self.first..self.first + self.events.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(events: &AgentEvents, times: Range<i64>) {
        for time in times {
            events.tell(time, [AgentEvent::Started]);
        }
    }

    #[test]
    fn the_oldest_make_room_and_a_reader_learns_how_many_it_missed() {
        let events = AgentEvents::new(4);
        assert_eq!(events.range(), 0..0);
        tell(&events, 0..3);
        let read = |from, most| {
            let Batch { first, events } = events.read(from, most);
            (first, events.iter().map(|told| told.time_ns).collect::<Vec<_>>())
        };
        assert_eq!(read(0, 9), (0, vec![0, 1, 2]));
        assert_eq!(read(1, 1), (1, vec![1]));
        assert_eq!(read(3, 9), (3, vec![]));
        tell(&events, 3..10);
        assert_eq!(events.range(), 6..10);
        assert_eq!(read(3, 2), (6, vec![6, 7]), "three are missed");
        assert_eq!(read(10, 9), (10, vec![]));
        events.tell(10, std::iter::repeat_n(AgentEvent::Started, 9));
        assert_eq!(events.range(), 15..19, "more at once than are kept");
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_event_it_waits_for() {
        let events = Arc::new(AgentEvents::default());
        tell(&events, 0..2);
        events.wait_for(1).await;
        let waiting = tokio::spawn({
            let events = Arc::clone(&events);
            async move { events.wait_for(2).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        tell(&events, 2..3);
        tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await.unwrap().unwrap();
    }
}
