//! Numbers for values that repeat from flow to flow.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::table::{Table, index};

/// Aliases beyond this many are forgotten: they only save time.
const MAX_ALIASES: usize = 65_536;

/// Gives equal values one number, and takes numbers back that no record in the ring uses any more.
#[derive(Debug)]
pub struct Interner<T: ?Sized> {
    table: Table<T>,
    by_value: HashMap<Arc<T>, NonZeroU32>,
    /// Numbers by the address of a shared value, which is quicker than by the value. The `Arc` keeps the address
    /// from being used for something else.
    aliases: HashMap<usize, (Arc<T>, NonZeroU32)>,
    /// By index: the sequence number of the last flow that used the number.
    last_used: Vec<u64>,
    free: Vec<NonZeroU32>,
    changed: bool,
}

// === impl Interner ===

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// The number of a value, which is made to last at least until the flow `sequence` is overwritten.
    pub fn intern(&mut self, value: &Arc<T>, sequence: u64) -> NonZeroU32 {
        let address = Arc::as_ptr(value).addr();
        let number = match self.aliases.get(&address) {
            Some((_, number)) => *number,
            None => self.intern_by_value(value, address),
        };
        self.touch(number, sequence);
        number
    }

    /// Says that the flow `sequence` uses a number.
    pub fn touch(&mut self, number: NonZeroU32, sequence: u64) {
        self.last_used[index(number)] = sequence;
    }

    /// Takes back every number that was last used by a flow before `oldest`. Returns whether there was one.
    pub fn sweep(&mut self, oldest: u64) -> bool {
        let Self { table, by_value, aliases, last_used, free, changed } = self;
        aliases.clear();
        let before = free.len();
        by_value.retain(|_, number| {
            let keep = last_used[index(*number)] >= oldest;
            if !keep {
                table.set(*number, None);
                free.push(*number);
            }
            keep
        });
        // the least number is given out first, so that the table stays dense
        free.sort_unstable_by(|a, b| b.cmp(a));
        let swept = free.len() > before;
        *changed |= swept;
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

    fn intern_by_value(&mut self, value: &Arc<T>, address: usize) -> NonZeroU32 {
        let number = match self.by_value.get(value) {
            Some(number) => *number,
            None => self.add(Arc::clone(value)),
        };
        if self.aliases.len() >= MAX_ALIASES {
            self.aliases.clear();
        }
        self.aliases.insert(address, (Arc::clone(value), number));
        number
    }

    fn add(&mut self, value: Arc<T>) -> NonZeroU32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.last_used.push(0);
            u32::try_from(self.last_used.len()).ok().and_then(NonZeroU32::new).expect(
                "invariant: a flow uses a few numbers, and the ring holds fewer flows than u32 counts",
            )
        });
        self.table.set(number, Some(Arc::clone(&value)));
        self.by_value.insert(value, number);
        self.changed = true;
        number
    }
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self {
            table: Table::default(),
            by_value: HashMap::new(),
            aliases: HashMap::new(),
            last_used: Vec::new(),
            free: Vec::new(),
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
        interner.touch(kept_number, 10);

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
}
