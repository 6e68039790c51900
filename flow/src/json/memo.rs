//! Texts of values that come again and again, so that each is looked at once: the ends of flows, the labels of nodes.

use std::ops::Range;

use super::pick::Span;
use super::time;

/// Places for texts that begin alike.
const WAYS: usize = 8;
const SETS: usize = 1024;
/// Bytes of text that are kept at most; then all begins anew.
const MOST_BYTES: usize = 3 << 20;
/// Bytes that decide where a text is kept. The ends of flows differ in their numbers, which stand at their beginning.
const BEGINNING: usize = 32;

#[derive(Debug)]
struct Entry {
    /// Which of the wanted values it is.
    id: usize,
    text: Box<[u8]>,
    /// Where the values stand that are wanted of it, from its beginning.
    spans: Box<[Span]>,
    slots: Range<usize>,
    /// Of this entry alone.
    number: u64,
}

#[derive(Debug)]
pub(super) struct Memo {
    sets: Vec<Vec<Entry>>,
    bytes: usize,
    /// How many entries there have been.
    entries: u64,
    /// The place in a full set that is given away next.
    turn: usize,
    /// The last text that was a time: a flow and its response often have the same.
    time: Vec<u8>,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            sets: (0..SETS).map(|_| Vec::new()).collect(),
            bytes: 0,
            entries: 0,
            turn: 0,
            time: Vec::new(),
        }
    }
}

impl Memo {
    /// Length and number of the known value that `text` begins with; its wanted values are noted as if it began at
    /// `start`.
    pub(super) fn find(
        &self,
        id: usize,
        text: &[u8],
        start: usize,
        spans: &mut [Span],
    ) -> Option<(usize, u64)> {
        let known = self.sets[set_of(id, text)]
            .iter()
            .find(|entry| entry.id == id && text.starts_with(&entry.text))?;
        for (to, from) in spans[known.slots.clone()].iter_mut().zip(&known.spans) {
            *to = from.moved(start)?;
        }
        Some((known.text.len(), known.number))
    }

    /// Keeps a value that begins at `start`, with what was noted of it. The number is one that no other value has or
    /// had; `None`: it is not kept.
    pub(super) fn keep(
        &mut self,
        id: usize,
        text: &[u8],
        start: usize,
        slots: Range<usize>,
        spans: &[Span],
    ) -> Option<u64> {
        if text.len() < BEGINNING || text.len() > MOST_BYTES / 64 {
            return None;
        }
        if self.bytes + text.len() > MOST_BYTES {
            *self = Self { entries: self.entries, ..Self::default() };
        }
        self.entries += 1;
        let number = self.entries;
        let spans = spans[slots.clone()].iter().map(|span| span.since(start)).collect();
        let entry = Entry { id, text: text.into(), spans, slots, number };
        self.bytes += text.len();
        let set = &mut self.sets[set_of(id, text)];
        if set.len() < WAYS {
            set.push(entry);
        } else {
            self.turn = (self.turn + 1) % WAYS;
            self.bytes -= set[self.turn].text.len();
            set[self.turn] = entry;
        }
        Some(number)
    }
}

// === times ===

impl Memo {
    /// Whether a text is a time as it is written, without the quotes.
    pub(super) fn is_time(&mut self, text: &[u8]) -> bool {
        if text == self.time {
            return true;
        }
        let is_time = time::is_written_so(text);
        if is_time {
            self.time.clear();
            self.time.extend_from_slice(text);
        }
        is_time
    }
}

/// The set of a text, by its beginning.
fn set_of(id: usize, text: &[u8]) -> usize {
    let words = text.as_chunks().0.iter().take(BEGINNING / 8);
    let mixed = words.fold(id as u64, |mixed, word| {
        (mixed.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    usize::try_from(mixed >> 54).unwrap_or(0) % SETS
}
