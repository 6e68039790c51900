//! Decisions about the parts of flows, remembered.

use crate::view::{Part, Side};

/// What filters said about the values that the parts of flows have had so far.
///
/// For each part a table of values, each with one bit for each filter: whether the filter can still match a flow with
/// this value. A value that finds no place takes that of another, so memory is bounded whatever is met: at most
/// [`Memo::MAX_BYTES`] for each part that the filters look at, and as much as was needed below that. A new memo
/// holds nothing.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    parts: [Table<u64>; Part::COUNT],
    addresses: [Table<u128>; 2],
}

/// Decisions by value.
#[derive(Debug, Clone)]
pub(super) struct Table<K> {
    /// The values in their places; a power of two.
    keys: Vec<K>,
    /// As many words for each place as filters need bits.
    rows: Vec<u64>,
}

/// A number that stands for a value.
pub(super) trait Key: Copy + PartialEq {
    /// Stands in a place without a value, and is never remembered.
    const EMPTY: Self;

    /// Different for different low bits, and if those are equal, for most others.
    fn mixed(self) -> usize;
}

/// Places of a table that holds something.
const FIRST_PLACES: usize = 64;

// === impl Memo ===

impl Memo {
    /// What one table holds at most.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Forgets everything: needed before a key may stand for another value.
    pub fn clear(&mut self) {
        self.parts.iter_mut().for_each(Table::clear);
        self.addresses.iter_mut().for_each(Table::clear);
    }

    pub(super) fn of_part(&mut self, part: Part) -> &mut Table<u64> {
        &mut self.parts[part.index()]
    }

    pub(super) fn of_addresses(&mut self, side: Side) -> &mut Table<u128> {
        &mut self.addresses[side.of(0, 1)]
    }
}

// === impl Table ===

impl<K: Key> Table<K> {
    /// The row of a value: one bit for each filter. `decide` says it where it is not remembered, in a row that is as
    /// long.
    #[inline]
    pub(super) fn row(&mut self, key: K, words: usize, decide: impl FnOnce(&mut [u64])) -> &[u64] {
        let place = self.place(key);
        if self.keys.get(place) != Some(&key) {
            self.add(key, words, decide);
        }
        let place = self.place(key);
        &self.rows[place * words..][..words]
    }

    fn clear(&mut self) {
        self.keys.fill(K::EMPTY);
    }

    #[inline]
    fn place(&self, key: K) -> usize {
        // of an empty table this is any number
        key.mixed() & self.keys.len().wrapping_sub(1)
    }

    #[cold]
    fn add(&mut self, key: K, words: usize, decide: impl FnOnce(&mut [u64])) {
        let place = self.make_room(key, words);
        self.keys[place] = key;
        decide(&mut self.rows[place * words..][..words]);
    }

    /// The place for a new value. Where another stands in it and there may be more places, there are more.
    fn make_room(&mut self, key: K, words: usize) -> usize {
        loop {
            let place = self.place(key);
            let places = self.keys.len();
            if places > 0 && (self.keys[place] == K::EMPTY || places * 2 > max_places::<K>(words)) {
                return place;
            }
            self.grow((places * 2).max(FIRST_PLACES), words);
        }
    }

    fn grow(&mut self, places: usize, words: usize) {
        let more = Self { keys: vec![K::EMPTY; places], rows: vec![0; places * words] };
        let before = std::mem::replace(self, more);
        for (at, key) in before.keys.into_iter().enumerate().filter(|(_, key)| *key != K::EMPTY) {
            let place = self.place(key);
            self.keys[place] = key;
            self.rows[place * words..][..words].copy_from_slice(&before.rows[at * words..][..words]);
        }
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), rows: Vec::new() }
    }
}

const fn max_places<K>(words: usize) -> usize {
    let places = Memo::MAX_BYTES / (size_of::<K>() + words * size_of::<u64>());
    if places < FIRST_PLACES { FIRST_PLACES } else { places }
}

// === impl Key ===

impl Key for u64 {
    const EMPTY: Self = Self::MAX;

    #[inline]
    fn mixed(self) -> usize {
        usize::from_le_bytes((self ^ self >> 13 ^ self >> 26).to_le_bytes())
    }
}

impl Key for u128 {
    const EMPTY: Self = Self::MAX;

    #[inline]
    fn mixed(self) -> usize {
        let folded = self ^ self >> 64;
        u64::from_le_bytes(*folded.to_le_bytes().first_chunk().expect("invariant: 16 bytes hold 8")).mixed()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A row that is different for every key.
    fn row_of<K: Key>(key: K, words: usize) -> Vec<u64> {
        (0..words).map(|word| (key.mixed() as u64).rotate_left(7) ^ word as u64).collect()
    }

    fn asked<K: Key>(table: &mut Table<K>, key: K, words: usize) -> (Vec<u64>, bool) {
        let mut decided = false;
        let row = table.row(key, words, |row| {
            decided = true;
            row.copy_from_slice(&row_of(key, words));
        });
        (row.to_vec(), decided)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 3 / 16))]

        #[test]
        fn a_memo_answers_what_was_decided_for_the_value(
            keys in prop::collection::vec(prop_oneof![
                0..300_u64, any::<u32>().prop_map(|key| 1 << 40 | u64::from(key)), any::<u64>(),
            ], 0..1_000),
            words in 1_usize..5,
        ) {
            let (mut small, mut large) = (Table::<u64>::default(), Table::<u128>::default());
            for key in keys.into_iter().filter(|key| *key != u64::EMPTY) {
                prop_assert_eq!(asked(&mut small, key, words).0, row_of(key, words));
                let key = u128::from(key) << 50 | u128::from(key >> 40);
                prop_assert_eq!(asked(&mut large, key, words).0, row_of(key, words));
            }
        }
    }

    #[test]
    fn a_value_that_is_met_again_is_not_decided_again_until_all_is_forgotten() {
        let mut memo = Memo::default();
        for round in 0..3 {
            let table = memo.of_part(Part::Interface);
            let decided = (0..5_000).filter(|key| asked(table, *key, 1).1).count();
            assert_eq!(decided, if round == 0 { 5_000 } else { 0 }, "round {round}");
        }
        memo.clear();
        assert!(asked(memo.of_part(Part::Interface), 7, 1).1);
    }

    #[test]
    fn memory_is_bounded_whatever_is_met() {
        for words in [1, 16, 32] {
            let mut table = Table::<u128>::default();
            for key in 0..200_000_u128 {
                asked(&mut table, key.wrapping_mul(0x9e37_79b9_7f4a_7c15), words);
            }
            let bytes = table.keys.capacity() * 16 + table.rows.capacity() * 8;
            assert!(bytes <= Memo::MAX_BYTES, "{bytes} for {words} words");
            assert!(bytes * 4 > Memo::MAX_BYTES, "{bytes} for {words} words");
        }
    }
}
