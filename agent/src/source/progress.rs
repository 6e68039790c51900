//! Up to when the reading thread has read and counted, for those who wait for an event that may never come.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the reader says. What it counted and sent before is seen by who sees it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    emptied_ns: AtomicU64,
    counted_ns: AtomicU64,
}

/// What the reader said last: moments of the kernel's clock, 0 where it has said nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressMade {
    /// Every event of before was sent, or counted as lost.
    pub emptied_ns: u64,
    /// What the kernel lost before has been counted.
    pub counted_ns: u64,
}

// === impl Progress ===

impl Progress {
    pub(super) fn emptied(&self, at_ns: u64) {
        self.emptied_ns.store(at_ns, Ordering::Release);
    }

    pub(super) fn counted(&self, at_ns: u64) {
        self.counted_ns.store(at_ns, Ordering::Release);
    }

    /// Pairs with the stores.
    pub(super) fn made(&self) -> ProgressMade {
        ProgressMade {
            emptied_ns: self.emptied_ns.load(Ordering::Acquire),
            counted_ns: self.counted_ns.load(Ordering::Acquire),
        }
    }
}
