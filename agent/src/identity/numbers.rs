//! Numbers given to keys, remembered, and taken back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

/// How long a number that nobody uses stays with its key for sure.
pub(super) const KEPT_FOR: Duration = Duration::from_hours(1);
/// How many numbers that have been unused for longer are remembered all the same, so that memory and the state file
/// stay bounded however many label sets come and go.
pub(super) const REMEMBERED: usize = 4096;

/// Seconds since 1970.
pub(super) type UnixSeconds = u64;

/// Numbers between `first` and `last`, both included, each given to at most one key.
#[derive(Debug, Clone)]
pub(super) struct Numbers<K> {
    first: u32,
    last: u32,
    by_key: HashMap<K, u32>,
    slots: BTreeMap<u32, Slot<K>>,
}

/// A number that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot<K> {
    pub(super) key: K,
    /// Since when nobody has used it; `None` while somebody does.
    pub(super) unused_since: Option<UnixSeconds>,
}

impl<K: Clone + Eq + Hash + Ord> Numbers<K> {
    pub(super) fn new(first: u32, last: u32) -> Self {
        Self { first, last, by_key: HashMap::new(), slots: BTreeMap::new() }
    }

    /// Puts back a number that was given earlier.
    pub(super) fn restore(&mut self, number: u32, slot: Slot<K>) -> Result<(), String> {
        if !(self.first..=self.last).contains(&number) {
            return Err(format!("number {number} is not between {} and {}", self.first, self.last));
        }
        if self.by_key.insert(slot.key.clone(), number).is_some() {
            return Err(format!("number {number} stands for what another number stands for"));
        }
        if self.slots.insert(number, slot).is_some() {
            return Err(format!("number {number} stands there twice"));
        }
        Ok(())
    }

    pub(super) fn number(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(super) fn slot(&self, number: u32) -> Option<&Slot<K>> {
        self.slots.get(&number)
    }

    /// All numbers that are given, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot<K>)> {
        self.slots.iter().map(|(number, slot)| (*number, slot))
    }

    /// Makes `used` the keys in use from now on: gives numbers to the new ones, as far as there are any, and marks the
    /// others as unused. Whether anything changed.
    pub(super) fn update(&mut self, used: &BTreeSet<K>, start: impl Fn(&K) -> u32, now: UnixSeconds) -> bool {
        let mut has_changed = false;
        // First of all: what is in use must not be taken back for what is new.
        let numbers: HashSet<u32> = used.iter().filter_map(|key| self.number(key)).collect();
        for (number, slot) in &mut self.slots {
            let unused_since = match slot.unused_since {
                _ if numbers.contains(number) => None,
                // A clock that was set back must not keep a number for ever.
                Some(since) => Some(since.min(now)),
                None => Some(now),
            };
            has_changed |= std::mem::replace(&mut slot.unused_since, unused_since) != unused_since;
        }
        for key in used.iter().filter(|key| !self.by_key.contains_key(*key)).cloned().collect::<Vec<_>>() {
            let Some(number) = self.free_from(start(&key)).or_else(|| self.take_back_oldest(now)) else {
                break;
            };
            self.by_key.insert(key.clone(), number);
            self.slots.insert(number, Slot { key, unused_since: None });
            has_changed = true;
        }
        self.forget(now) || has_changed
    }

    /// The first free number from `start` on, going round at the end.
    fn free_from(&self, start: u32) -> Option<u32> {
        let is_full = self.slots.len() > usize::try_from(self.last - self.first).unwrap_or(usize::MAX);
        if is_full {
            return None;
        }
        (start..=self.last).chain(self.first..start).find(|number| !self.slots.contains_key(number))
    }

    fn take_back_oldest(&mut self, now: UnixSeconds) -> Option<u32> {
        let expired =
            self.slots.iter().filter_map(|(number, slot)| Some((slot.expired_since(now)?, *number)));
        let (_, number) = expired.min()?;
        self.remove(number);
        Some(number)
    }

    /// Takes back all but [`REMEMBERED`] of the numbers that have been unused for long, oldest first.
    fn forget(&mut self, now: UnixSeconds) -> bool {
        let expired =
            self.slots.iter().filter_map(|(number, slot)| Some((slot.expired_since(now)?, *number)));
        let mut expired: Vec<_> = expired.collect();
        let Some(surplus) = expired.len().checked_sub(REMEMBERED).filter(|surplus| *surplus > 0) else {
            return false;
        };
        expired.sort_unstable();
        for (_, number) in &expired[..surplus] {
            self.remove(*number);
        }
        true
    }

    fn remove(&mut self, number: u32) {
        if let Some(slot) = self.slots.remove(&number) {
            self.by_key.remove(&slot.key);
        }
    }
}

impl<K> Slot<K> {
    /// Since when it has been unused, if that is long enough for it to be given away.
    fn expired_since(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        self.unused_since.filter(|since| now.saturating_sub(*since) >= KEPT_FOR.as_secs())
    }
}
