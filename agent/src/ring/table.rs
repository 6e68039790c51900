//! A table that is cheap to copy after a small change: chunks are shared between versions.

use std::num::NonZeroU32;
use std::sync::Arc;

const CHUNK: usize = 256;

/// Values by their number, counted from 1; a number may be vacant.
#[derive(Debug)]
pub struct Table<T: ?Sized> {
    chunks: Vec<Chunk<T>>,
}

/// No chunk where all its numbers are vacant.
type Chunk<T> = Option<Arc<[Option<Arc<T>>; CHUNK]>>;

// === impl Table ===

impl<T: ?Sized> Table<T> {
    /// The value of a number; `None` where it is vacant.
    pub fn get(&self, number: NonZeroU32) -> Option<&Arc<T>> {
        let index = index(number);
        self.chunks.get(index / CHUNK)?.as_ref()?[index % CHUNK].as_ref()
    }

    /// All values, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.chunks.iter().flatten().flat_map(|chunk| chunk.iter().flatten())
    }

    pub(super) fn set(&mut self, number: NonZeroU32, value: Arc<T>) {
        let index = index(number);
        if self.chunks.len() <= index / CHUNK {
            self.chunks.resize(index / CHUNK + 1, None);
        }
        let chunk = self.chunks[index / CHUNK].get_or_insert_with(|| Arc::new([const { None }; CHUNK]));
        Arc::make_mut(chunk)[index % CHUNK] = Some(value);
    }

    /// Makes a number vacant; `None` if it was.
    pub(super) fn take(&mut self, number: NonZeroU32) -> Option<Arc<T>> {
        let index = index(number);
        let chunk = self.chunks.get_mut(index / CHUNK)?.as_mut()?;
        chunk[index % CHUNK].as_ref()?;
        Arc::make_mut(chunk)[index % CHUNK].take()
    }

    /// Gives vacant chunks back; returns how many numbers those that are left span.
    pub(super) fn trim(&mut self) -> usize {
        for chunk in &mut self.chunks {
            if chunk.as_ref().is_some_and(|chunk| chunk.iter().all(Option::is_none)) {
                *chunk = None;
            }
        }
        while self.chunks.pop_if(|chunk| chunk.is_none()).is_some() {}
        self.chunks.shrink_to(2 * self.chunks.len());
        self.chunks.len() * CHUNK
    }

    #[cfg(test)]
    pub(super) fn chunks_in_use(&self) -> usize {
        self.chunks.iter().flatten().count()
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
