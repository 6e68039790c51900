//! When something was last seen, or something else that shares its place: never too early.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::way::Way;

/// Places; a power of two.
const PLACES: usize = 1_024;

/// The last moment at each place.
pub(super) struct Recent {
    hasher: RandomState,
    last_ns: Box<[u64]>,
}

// === impl Recent ===

impl Recent {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::default(), last_ns: vec![0; PLACES].into() }
    }

    pub(super) fn note(&mut self, way: &Way, at_ns: u64) {
        let place = self.place(way);
        self.last_ns[place] = self.last_ns[place].max(at_ns);
    }

    /// Not before the last time that it was noted; 0 if it never was, and nothing else at its place.
    pub(super) fn last_ns(&self, way: &Way) -> u64 {
        self.last_ns[self.place(way)]
    }

    fn place(&self, way: &Way) -> usize {
        place(self.hasher.hash_one(way), PLACES)
    }
}

/// One of so many places, a power of two.
pub(super) fn place(hash: u64, places: usize) -> usize {
    usize::try_from(hash & (places as u64 - 1)).expect("invariant: there are not that many places")
}
