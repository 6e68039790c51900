//! Buffers for what is on its way to clients: used again and again, and bounded for each stream.
//!
//! A stream that has as much on its way as it may have waits until some of it was written, so a client that does not
//! read costs that much and no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use prost::bytes::Bytes;

/// A chunk is sent once it holds this much: enough that the system call for it does not count.
pub const CHUNK_BYTES: usize = 128 << 10;
/// Room for the flow that fills a chunk.
const CAPACITY: usize = CHUNK_BYTES + (4 << 10);
/// What a chunk costs beside its bytes, about.
const OVERHEAD: usize = 512;
/// What one stream may have on its way: one chunk that is being written, and one that waits.
pub const MAX_UNDER_WAY: usize = 2 * (CAPACITY + OVERHEAD);
/// Chunks below this are copied, so that what trickles to a client that does not read holds no large buffers.
const SMALL: usize = 16 << 10;
/// Buffers that are kept for the next chunks.
const MAX_SPARE: usize = 8;

/// The buffers that nobody uses now, and how much is in the others.
#[derive(Debug, Default)]
pub struct Buffers {
    spare: Mutex<Vec<Vec<u8>>>,
    under_way: AtomicUsize,
}

/// What one stream has on its way.
#[derive(Debug, Default)]
pub struct UnderWay {
    bytes: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
}

/// Bytes on their way. Dropped when they are written, or never will be.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    cost: usize,
    buffers: Arc<Buffers>,
    under_way: Arc<UnderWay>,
}

// === impl Buffers ===

impl Buffers {
    /// An empty buffer with room for a chunk.
    pub fn take(&self) -> Vec<u8> {
        self.spare().pop().unwrap_or_else(|| Vec::with_capacity(CAPACITY))
    }

    /// Takes a buffer back. One that has become larger is not kept.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.spare();
        if spare.len() < MAX_SPARE && buffer.capacity() == CAPACITY {
            spare.push(buffer);
        }
    }

    /// What all streams have on their way.
    #[cfg(test)]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Acquire)
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().expect("invariant: nothing panics while it holds the spare buffers")
    }
}

// === impl UnderWay ===

impl UnderWay {
    /// Ready if there may be more on the way; else the task is woken when some of it was written.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        *self.waiting() = Some(context.waker().clone());
        // what was written before the waker stood there woke nobody
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The bytes of a buffer, which count until they are dropped.
    pub fn send(self: &Arc<Self>, bytes: Vec<u8>, buffers: &Arc<Buffers>) -> Bytes {
        let bytes = if bytes.len() < SMALL {
            let exact = bytes.as_slice().to_vec();
            buffers.give_back(bytes);
            exact
        } else {
            bytes
        };
        let cost = bytes.capacity() + OVERHEAD;
        self.bytes.fetch_add(cost, Ordering::AcqRel);
        buffers.under_way.fetch_add(cost, Ordering::AcqRel);
        Bytes::from_owner(Chunk { bytes, cost, buffers: Arc::clone(buffers), under_way: Arc::clone(self) })
    }

    fn has_room(&self) -> bool {
        // for a whole chunk
        self.bytes.load(Ordering::Acquire) <= MAX_UNDER_WAY / 2
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().expect("invariant: nothing panics while it holds the waker")
    }
}

// === impl Chunk ===

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // one that was copied is too small to be kept
        self.buffers.give_back(std::mem::take(&mut self.bytes));
        self.buffers.under_way.fetch_sub(self.cost, Ordering::AcqRel);
        self.under_way.bytes.fetch_sub(self.cost, Ordering::AcqRel);
        let waiting = self.under_way.waiting().take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_stream_waits_while_its_chunks_are_under_way_and_is_woken_when_one_was_written() {
        let (buffers, under_way, woken) =
            (Arc::<Buffers>::default(), Arc::<UnderWay>::default(), Arc::<Woken>::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let chunk = || {
            let mut bytes = buffers.take();
            bytes.resize(CHUNK_BYTES, 7);
            under_way.send(bytes, &buffers)
        };
        let first = chunk();
        assert!(under_way.poll_room(&mut context).is_ready());
        let second = chunk();
        assert!(under_way.poll_room(&mut context).is_pending());
        assert!(!woken.0.load(Ordering::Relaxed));
        drop(first);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(under_way.poll_room(&mut context).is_ready());
        assert_eq!(second.len(), CHUNK_BYTES);
        assert_eq!(buffers.spare().len(), 1, "the buffer of the first is used again");
    }

    #[test]
    fn many_small_chunks_count_what_they_cost() {
        let (buffers, under_way) = (Arc::<Buffers>::default(), Arc::<UnderWay>::default());
        let mut context = Context::from_waker(Waker::noop());
        let mut held = Vec::new();
        while under_way.poll_room(&mut context).is_ready() {
            let mut bytes = buffers.take();
            bytes.push(1);
            held.push(under_way.send(bytes, &buffers));
        }
        assert!(held.len() < 300, "{}", held.len());
        assert_eq!(buffers.spare().len(), 1, "a small chunk holds no large buffer");
        drop(held);
        assert_eq!((under_way.bytes.load(Ordering::Relaxed), buffers.under_way()), (0, 0));
    }
}
