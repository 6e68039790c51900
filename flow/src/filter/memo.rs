//! Decisions about the parts of flows, remembered.

use crate::view::Part;

/// What filters said about the values that the parts of flows have had so far.
///
/// For each part a table of values, each with one bit for each filter: whether the filter can still match a flow with
/// this value. A value that finds no place takes that of another, so memory is bounded whatever is met: at most
/// [`Memo::MAX_BYTES`] for each part that the filters look at, and as much as was needed below that. A new memo
/// holds nothing.
#[derive(Debug, Clone, Default)]
pub struct Memo {
    tables: [Table; Part::COUNT],
}

/// Decisions by value.
#[derive(Debug, Clone, Default)]
struct Table {
    /// The values in their places; a power of two, or none at all.
    keys: Vec<u128>,
    /// As many words for each place as filters need bits.
    rows: Vec<u64>,
}

/// Stands in a place without a value, and is never remembered.
const EMPTY: u128 = u128::MAX;
/// Places of a table that holds something.
const FIRST_PLACES: usize = 64;

// === impl Memo ===

impl Memo {
    /// What one table holds at most.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Forgets everything: needed before a key may stand for another value.
    pub fn clear(&mut self) {
        for table in &mut self.tables {
            table.keys.fill(EMPTY);
        }
    }

    /// Leaves of `alive` the bits of those filters that can match a flow whose part has the value `key`. `decide`
    /// says it where it is not remembered, in a row that is as long.
    pub(super) fn keep(&mut self, part: Part, key: u128, alive: &mut [u64], decide: impl FnOnce(&mut [u64])) {
        let row = self.tables[part.index()].row(key, alive.len(), decide);
        for (alive, row) in alive.iter_mut().zip(row) {
            *alive &= row;
        }
    }
}

// === impl Table ===

impl Table {
    fn row(&mut self, key: u128, words: usize, decide: impl FnOnce(&mut [u64])) -> &[u64] {
        let place = self.place(key);
        if self.keys.get(place) == Some(&key) {
            return &self.rows[place * words..][..words];
        }
        let place = self.make_room(key, words);
        self.keys[place] = key;
        let row = &mut self.rows[place * words..][..words];
        decide(row);
        row
    }

    /// Values that are dense numbers have places of their own until there are more of them than places.
    fn place(&self, key: u128) -> usize {
        let mask = self.keys.len().wrapping_sub(1);
        let mixed = key ^ key >> 13 ^ key >> 26 ^ key >> 64 ^ key >> 77;
        // the low bits are all that is wanted
        mixed.to_le_bytes().first_chunk().map_or(0, |low| usize::from_le_bytes(*low)) & mask
    }

    /// The place for a new value. Where another stands in it and there may be more places, there are more.
    fn make_room(&mut self, key: u128, words: usize) -> usize {
        loop {
            let place = self.place(key);
            let places = self.keys.len();
            if places > 0 && (self.keys[place] == EMPTY || places * 2 > max_places(words)) {
                return place;
            }
            self.grow((places * 2).max(FIRST_PLACES), words);
        }
    }

    fn grow(&mut self, places: usize, words: usize) {
        let before =
            std::mem::replace(self, Self { keys: vec![EMPTY; places], rows: vec![0; places * words] });
        for (at, key) in before.keys.into_iter().enumerate().filter(|(_, key)| *key != EMPTY) {
            let place = self.place(key);
            self.keys[place] = key;
            self.rows[place * words..][..words].copy_from_slice(&before.rows[at * words..][..words]);
        }
    }
}

const fn max_places(words: usize) -> usize {
    let row = size_of::<u128>() + words * size_of::<u64>();
    let places = Memo::MAX_BYTES / row;
    if places < FIRST_PLACES { FIRST_PLACES } else { places }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view::Side;

    const PART: Part = Part::Address(Side::Source);

    /// A row that is different for every key.
    fn row_of(key: u128, words: usize) -> Vec<u64> {
        let low = u64::from_le_bytes(*key.to_le_bytes().first_chunk().unwrap());
        (0..words as u64)
            .map(|word| {
                (low ^ u64::from_le_bytes(*key.to_le_bytes().last_chunk().unwrap())).rotate_left(7) ^ word
            })
            .collect()
    }

    fn asked(memo: &mut Memo, key: u128, words: usize) -> (Vec<u64>, bool) {
        let (mut alive, mut decided) = (vec![u64::MAX; words], false);
        memo.keep(PART, key, &mut alive, |row| {
            decided = true;
            row.copy_from_slice(&row_of(key, words));
        });
        (alive, decided)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_memo_answers_what_was_decided_for_the_value(
            keys in prop::collection::vec(prop_oneof![
                0..300_u128, any::<u32>().prop_map(|key| 0xffff << 32 | u128::from(key)), any::<u128>(),
            ], 0..1_000),
            words in 1_usize..5,
        ) {
            let mut memo = Memo::default();
            for key in keys.into_iter().filter(|key| *key != EMPTY) {
                prop_assert_eq!(asked(&mut memo, key, words).0, row_of(key, words));
            }
        }
    }

    #[test]
    fn a_value_that_is_met_again_is_not_decided_again_until_all_is_forgotten() {
        let mut memo = Memo::default();
        for round in 0..3 {
            let decided = (0..5_000).filter(|key| asked(&mut memo, *key, 1).1).count();
            assert_eq!(decided, if round == 0 { 5_000 } else { 0 }, "round {round}");
        }
        memo.clear();
        assert!(asked(&mut memo, 7, 1).1);
    }

    #[test]
    fn memory_is_bounded_whatever_is_met() {
        for words in [1, 16, 32] {
            let mut memo = Memo::default();
            for key in 0..200_000_u128 {
                asked(&mut memo, key.wrapping_mul(0x9e37_79b9_7f4a_7c15), words);
            }
            let table = &memo.tables[PART.index()];
            let bytes = table.keys.capacity() * 16 + table.rows.capacity() * 8;
            assert!(bytes <= Memo::MAX_BYTES, "{bytes} for {words} words");
            assert!(bytes * 4 > Memo::MAX_BYTES, "{bytes} for {words} words");
        }
    }
}
