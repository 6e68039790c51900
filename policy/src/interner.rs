//! Stable numbers for values: the same value keeps its number, and a number never changes its meaning.

use std::hash::Hash;

use foldhash::{HashMap, HashMapExt as _};
use palomar_model::shared_map::SharedMap;

/// Values and their numbers, from 1 upwards.
#[derive(Debug, Clone)]
pub(crate) struct Interner<T> {
    by_id: SharedMap<u32, T>,
    ids: HashMap<T, u32>,
    next: u32,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { by_id: SharedMap::new(), ids: HashMap::new(), next: 1 }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The number of a value, given now if it had none. `None`: all numbers up to `last` have been given.
    pub(crate) fn intern(&mut self, value: &T, last: u32) -> Option<u32> {
        if let Some(id) = self.ids.get(value) {
            return Some(*id);
        }
        let id = self.next;
        if id > last {
            return None;
        }
        self.next = id + 1;
        self.by_id.insert(id, value.clone());
        self.ids.insert(value.clone(), id);
        Some(id)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.by_id.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.by_id.iter().map(|(id, value)| (*id, value))
    }

    /// The values by their numbers; to clone it costs little.
    pub(crate) const fn all(&self) -> &SharedMap<u32, T> {
        &self.by_id
    }

    /// Forgets the values whose number `keep` refuses. Their numbers are not given again.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        let before = self.by_id.len();
        self.by_id.retain(|id, _| keep(*id));
        if self.by_id.len() < before {
            self.ids.retain(|_, id| self.by_id.contains_key(id));
        }
    }

    /// The number that the next new value gets.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Rebuilds from what [`Interner::iter`] and [`Interner::next`] told. `None`: a number or a value stands twice,
    /// a number is 0 or not below `next`.
    pub(crate) fn restore(next: u32, pairs: impl IntoIterator<Item = (u32, T)>) -> Option<Self> {
        let mut restored = Self { by_id: SharedMap::new(), ids: HashMap::new(), next: next.max(1) };
        for (id, value) in pairs {
            let fresh = (1..next).contains(&id)
                && restored.by_id.insert(id, value.clone()).is_none()
                && restored.ids.insert(value, id).is_none();
            if !fresh {
                return None;
            }
        }
        Some(restored)
    }
}
