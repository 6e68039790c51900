//! A table that is cheap to copy after a small change: chunks are shared between versions.

use std::num::NonZeroU32;
use std::sync::Arc;

const CHUNK: usize = 256;

/// Values by their number, counted from 1; a number may be vacant.
#[derive(Debug)]
pub struct Table<T: ?Sized> {
    chunks: Vec<Chunk<T>>,
}

type Chunk<T> = Arc<Vec<Option<Arc<T>>>>;

// === impl Table ===

impl<T: ?Sized> Table<T> {
    /// The value of a number; `None` where it is vacant.
    pub fn get(&self, number: NonZeroU32) -> Option<&Arc<T>> {
        let index = index(number);
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    /// All values, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().flatten())
    }

    pub(super) fn set(&mut self, number: NonZeroU32, value: Option<Arc<T>>) {
        let index = index(number);
        while self.chunks.len() <= index / CHUNK {
            self.chunks.push(Arc::new(vec![None; CHUNK]));
        }
        Arc::make_mut(&mut self.chunks[index / CHUNK])[index % CHUNK] = value;
    }
}

impl<T: ?Sized> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone() }
    }
}

impl<T: ?Sized> Default for Table<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

pub(super) fn index(number: NonZeroU32) -> usize {
    usize::try_from(number.get() - 1).expect("invariant: usize has at least 32 bits")
}
