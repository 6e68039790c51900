//! Numbers for values that repeat from flow to flow.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::table::{Table, index};

/// Gives equal values one number, and takes numbers back that no record in the ring uses any more.
#[derive(Debug)]
pub struct Interner<T: ?Sized> {
    table: Table<T>,
    by_value: HashMap<Arc<T>, NonZeroU32>,
    /// Numbers by the address of a shared value, which is quicker than by the value. The `Arc` keeps the address
    /// from being used for something else. They only save time, so there are few, and they go when they are too many.
    aliases: HashMap<usize, (Arc<T>, NonZeroU32), RandomState>,
    /// By index: the last epoch in which the number was asked for.
    last_used: Vec<u64>,
    /// The least is given out first, so that the table stays dense.
    free: BinaryHeap<Reverse<NonZeroU32>>,
    changed: bool,
}

// === impl Interner ===

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// The number of a value, good for flows of this epoch.
    pub fn intern(&mut self, value: &Arc<T>, epoch: u64) -> NonZeroU32 {
        let address = Arc::as_ptr(value).addr();
        let number = match self.aliases.get(&address) {
            Some((_, number)) => *number,
            None => self.intern_by_value(value, address),
        };
        self.last_used[index(number)] = epoch;
        number
    }

    /// Takes back every number that was last asked for before the epoch `oldest`. Returns whether there was one.
    pub fn sweep(&mut self, oldest: u64) -> bool {
        let Self { table, by_value, last_used, free, .. } = self;
        let before = by_value.len();
        for (place, last_used) in last_used.iter().enumerate() {
            if *last_used < oldest
                && let Some(number) = number(place)
                && let Some(value) = table.take(number)
            {
                by_value.remove(&value);
                free.push(Reverse(number));
            }
        }
        let swept = by_value.len() < before;
        if swept {
            self.shrink();
        }
        self.changed |= swept;
        swept
    }

    /// The table if it changed since this was last asked.
    pub fn take_change(&mut self) -> Option<Table<T>> {
        std::mem::take(&mut self.changed).then(|| self.table.clone())
    }

    /// How many values have a number.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_value.len()
    }

    /// How many numbers there is memory for.
    #[cfg(test)]
    pub fn width(&self) -> usize {
        self.last_used.len()
    }

    /// Gives memory back that a crowd of values needed which has gone.
    fn shrink(&mut self) {
        let Self { table, by_value, aliases, last_used, free, changed: _ } = self;
        // an alias of a number that was taken back would lead to another value
        aliases.clear();
        let width = table.trim();
        last_used.truncate(width);
        free.retain(|Reverse(number)| index(*number) < width);
        if by_value.capacity() > 4 * by_value.len() {
            by_value.shrink_to(2 * by_value.len());
            aliases.shrink_to(2 * by_value.len());
            last_used.shrink_to(2 * width);
            free.shrink_to(2 * free.len());
        }
    }

    fn intern_by_value(&mut self, value: &Arc<T>, address: usize) -> NonZeroU32 {
        let number = match self.by_value.get(value) {
            Some(number) => *number,
            None => self.add(Arc::clone(value)),
        };
        if self.aliases.len() >= 2 * self.by_value.len() + 64 {
            self.aliases.clear();
        }
        self.aliases.insert(address, (Arc::clone(value), number));
        number
    }

    fn add(&mut self, value: Arc<T>) -> NonZeroU32 {
        let number = self.free.pop().map_or_else(
            || {
                self.last_used.push(0);
                number(self.last_used.len() - 1).expect(
                    "invariant: a flow uses a few numbers, and the ring holds fewer flows than u32 counts",
                )
            },
            |Reverse(number)| number,
        );
        self.table.set(number, Arc::clone(&value));
        self.by_value.insert(value, number);
        self.changed = true;
        number
    }
}

/// The number at a place; `None` beyond what a record can hold.
fn number(place: usize) -> Option<NonZeroU32> {
    u32::try_from(place + 1).ok().and_then(NonZeroU32::new)
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self {
            table: Table::default(),
            by_value: HashMap::new(),
            aliases: HashMap::default(),
            last_used: Vec::new(),
            free: BinaryHeap::new(),
            changed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[test]
    fn equal_values_share_a_number_whatever_their_address() {
        let mut interner = Interner::<str>::default();
        let first = interner.intern(&name("a"), 0);
        let other = interner.intern(&name("b"), 0);
        assert_ne!(first, other);
        assert_eq!(interner.intern(&name("a"), 1), first);
        assert_eq!(interner.len(), 2);
    }

    #[test]
    fn a_number_is_taken_back_once_no_readable_flow_uses_it_and_is_given_out_again() {
        let mut interner = Interner::<str>::default();
        let (old, kept) = (name("old"), name("kept"));
        let old_number = interner.intern(&old, 3);
        let kept_number = interner.intern(&kept, 3);
        assert_eq!(interner.intern(&kept, 10), kept_number);

        assert!(!interner.sweep(3), "both are in use");
        assert!(interner.sweep(4));
        let table = interner.take_change().unwrap();
        assert_eq!(table.get(old_number), None);
        assert_eq!(table.get(kept_number), Some(&kept));
        assert_eq!(interner.intern(&name("new"), 11), old_number);
        assert_eq!(table.get(old_number), None, "a version handed out earlier does not change");
        assert!(interner.take_change().is_some());
        assert!(interner.take_change().is_none(), "nothing changed since");
    }

    #[test]
    fn the_address_of_a_value_that_has_gone_never_leads_to_its_number() {
        let mut interner = Interner::<str>::default();
        for n in 0..10_000_u64 {
            let value = name(&format!("value {n}"));
            let number = interner.intern(&value, n);
            let table = interner.take_change().unwrap();
            assert_eq!(table.get(number), Some(&value));
            drop(value);
            interner.sweep(n.saturating_sub(4));
        }
        assert!(interner.len() <= 5, "{}", interner.len());
    }

    #[test]
    fn a_crowd_that_has_gone_leaves_no_memory_behind_and_those_who_stay_keep_their_numbers() {
        let mut interner = Interner::<str>::default();
        let early = interner.intern(&name("early"), 9);
        for n in 0..100_000 {
            interner.intern(&name(&format!("crowd {n}")), 5);
        }
        let late = interner.intern(&name("late"), 9);
        interner.sweep(9);
        assert_eq!(interner.len(), 2);
        assert_eq!(interner.intern(&name("early"), 9), early);
        assert_eq!(interner.intern(&name("late"), 9), late);
        let table = interner.take_change().unwrap();
        assert_eq!((table.get(early), table.get(late)), (Some(&name("early")), Some(&name("late"))));
        assert_eq!(table.iter().count(), 2);
        assert_eq!(table.chunks_in_use(), 2, "only the chunks of those who stay");
        interner.sweep(10);
        assert_eq!((interner.len(), interner.width()), (0, 0));
        for n in 0..1_000 {
            interner.intern(&name(&format!("next {n}")), 10);
        }
        assert!(interner.width() <= 1_024, "the least numbers are given out first: {}", interner.width());
    }
}
