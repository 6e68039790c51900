//! What is no longer wanted, but takes part for a while yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::BLOCK_LINGER;

/// Things that are wanted, and those that were until [`BLOCK_LINGER`] ago.
#[derive(Debug)]
pub(super) struct Lingering<T> {
    all: BTreeSet<T>,
    /// Those of them that are no longer wanted, and since when.
    leaving: BTreeMap<T, Instant>,
}

impl<T: Ord + Clone> Lingering<T> {
    /// Takes in what is wanted now, where it is other than `before`. Says whether things came or went.
    pub(super) fn follow(&mut self, before: &BTreeSet<T>, wanted: &BTreeSet<T>, now: Instant) -> bool {
        for thing in before.difference(wanted) {
            self.leaving.insert(thing.clone(), now);
        }
        let mut is_other = false;
        for thing in wanted.difference(before) {
            self.leaving.remove(thing);
            is_other |= self.all.insert(thing.clone());
        }
        let gone = self.leaving.iter().filter(|(_, since)| now.duration_since(**since) >= BLOCK_LINGER);
        for thing in gone.map(|(thing, _)| thing.clone()).collect::<Vec<_>>() {
            self.leaving.remove(&thing);
            is_other |= self.all.remove(&thing);
        }
        is_other
    }

    /// Those that take part.
    pub(super) const fn all(&self) -> &BTreeSet<T> {
        &self.all
    }
}

impl<T> Default for Lingering<T> {
    fn default() -> Self {
        Self { all: BTreeSet::new(), leaving: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_no_longer_wanted_takes_part_for_a_while_and_stays_where_it_is_wanted_again() {
        let start = Instant::now();
        let mut lingering = Lingering::default();
        let mut before = BTreeSet::new();
        let half = BLOCK_LINGER / 2;
        for (what, wanted, after, is_other, all) in [
            ("two come", "ab", Duration::ZERO, true, "ab"),
            ("nothing changes", "ab", half, false, "ab"),
            ("one is no longer wanted", "a", half, false, "ab"),
            ("another comes", "ac", half * 2, true, "abc"),
            ("its time is over", "ac", half * 3, true, "ac"),
            ("one is no longer wanted", "c", half * 3, false, "ac"),
            ("and is again", "ac", half * 4, false, "ac"),
            ("long after", "ac", half * 9, false, "ac"),
        ] {
            let wanted: BTreeSet<char> = wanted.chars().collect();
            assert_eq!(lingering.follow(&before, &wanted, start + after), is_other, "{what}");
            assert_eq!(lingering.all().iter().collect::<String>(), all, "{what}");
            before = wanted;
        }
    }
}
