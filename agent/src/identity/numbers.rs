//! Numbers given to keys, remembered, and taken back.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use palomar_model::shared_map::SharedMap;

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
    slots: SharedMap<u32, Slot<K>>,
    /// Those of `slots` that nobody uses.
    unused: BTreeSet<u32>,
    /// No number has been unused since later than this.
    latest: UnixSeconds,
}

/// What an update did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Updated {
    /// Whether anything changed.
    pub(super) anything: bool,
    /// Whether a number was taken back.
    pub(super) took_back: bool,
}

/// A number that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot<K> {
    pub(super) key: K,
    /// Since when nobody has used it; `None` while somebody does.
    pub(super) unused_since: Option<UnixSeconds>,
}

impl Updated {
    pub(super) const fn and(self, other: Self) -> Self {
        Self { anything: self.anything || other.anything, took_back: self.took_back || other.took_back }
    }
}

impl<K: Clone + Eq + Hash + Ord> Numbers<K> {
    pub(super) fn new(first: u32, last: u32) -> Self {
        Self {
            first,
            last,
            by_key: HashMap::new(),
            slots: SharedMap::new(),
            unused: BTreeSet::new(),
            latest: 0,
        }
    }

    /// Puts back a number that was given earlier.
    pub(super) fn restore(&mut self, number: u32, slot: Slot<K>) -> Result<(), String> {
        if !(self.first..=self.last).contains(&number) {
            return Err(format!("number {number} is not between {} and {}", self.first, self.last));
        }
        if self.by_key.insert(slot.key.clone(), number).is_some() {
            return Err(format!("number {number} stands for what another number stands for"));
        }
        if let Some(since) = slot.unused_since {
            self.unused.insert(number);
            self.latest = self.latest.max(since);
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

    /// The numbers that are given.
    pub(super) const fn slots(&self) -> &SharedMap<u32, Slot<K>> {
        &self.slots
    }

    /// All numbers that are given, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot<K>)> {
        self.slots.iter().map(|(number, slot)| (*number, slot))
    }

    /// Makes `used` the keys in use from now on; see [`Self::change`].
    pub(super) fn update(
        &mut self,
        used: &BTreeSet<K>,
        start: impl Fn(&K) -> u32,
        now: UnixSeconds,
    ) -> Updated {
        let in_use = self.slots.values().filter(|slot| slot.unused_since.is_none()).map(|slot| &slot.key);
        let gone: Vec<K> = in_use.filter(|key| !used.contains(*key)).cloned().collect();
        self.change(used, &gone, start, now)
    }

    /// Makes `come` keys in use from now on: gives numbers to the new ones, as far as there are any; and marks those of
    /// `gone` as unused. The others stay as they are.
    pub(super) fn change(
        &mut self,
        come: &BTreeSet<K>,
        gone: &[K],
        start: impl Fn(&K) -> u32,
        now: UnixSeconds,
    ) -> Updated {
        let mut updated = Updated { anything: self.turn_back(now), took_back: false };
        for key in gone {
            if let Some(number) = self.number(key) {
                updated.anything |= self.mark(number, Some(now));
            }
        }
        // First of all: what is in use must not be taken back for what is new.
        for number in come.iter().filter_map(|key| self.number(key)).collect::<Vec<_>>() {
            updated.anything |= self.mark(number, None);
        }
        for key in come.iter().filter(|key| !self.by_key.contains_key(*key)).cloned().collect::<Vec<_>>() {
            let number = self.free_from(start(&key)).or_else(|| {
                let oldest = self.take_back_oldest(now);
                updated.took_back |= oldest.is_some();
                oldest
            });
            let Some(number) = number else { break };
            self.by_key.insert(key.clone(), number);
            self.slots.insert(number, Slot { key, unused_since: None });
            updated.anything = true;
        }
        let forgot = self.forget(now);
        Updated { anything: updated.anything || forgot, took_back: updated.took_back || forgot }
    }

    /// Says since when a number is unused; whether that is other than before.
    fn mark(&mut self, number: u32, unused_since: Option<UnixSeconds>) -> bool {
        if unused_since.is_some() {
            self.unused.insert(number);
        } else {
            self.unused.remove(&number);
        }
        let slot = self.slots.get_mut(&number);
        slot.is_some_and(|slot| std::mem::replace(&mut slot.unused_since, unused_since) != unused_since)
    }

    /// A clock that was set back must not keep a number for ever.
    fn turn_back(&mut self, now: UnixSeconds) -> bool {
        if now >= std::mem::replace(&mut self.latest, now) {
            return false;
        }
        let is_later = |slot: &Slot<K>| slot.unused_since.is_some_and(|since| since > now);
        let later = self.unused.iter().filter(|number| self.slots.get(*number).is_some_and(is_later));
        let later: Vec<u32> = later.copied().collect();
        for number in &later {
            self.mark(*number, Some(now));
        }
        !later.is_empty()
    }

    /// Numbers that have been unused for long enough to be given away, and since when.
    fn expired(&self, now: UnixSeconds) -> impl Iterator<Item = (UnixSeconds, u32)> {
        let slots = self.unused.iter().filter_map(|number| Some((number, self.slots.get(number)?)));
        slots.filter_map(move |(number, slot)| Some((slot.expired_since(now)?, *number)))
    }

    /// The first free number from `start` on, going round at the end.
    fn free_from(&self, start: u32) -> Option<u32> {
        let is_full = self.slots.len() > usize::try_from(self.last - self.first).unwrap_or(usize::MAX);
        if is_full {
            return None;
        }
        // the numbers that are given are passed in their order
        let gap_from = |from: u32, last: u32| {
            let taken = self.slots.starting_at(&from).map(|(number, _)| *number);
            let run = taken.zip(from..=last).take_while(|(taken, number)| taken == number).count();
            u32::try_from(run).ok().and_then(|run| from.checked_add(run)).filter(|number| *number <= last)
        };
        gap_from(start, self.last).or_else(|| gap_from(self.first, start - 1))
    }

    fn take_back_oldest(&mut self, now: UnixSeconds) -> Option<u32> {
        let (_, number) = self.expired(now).min()?;
        self.remove(number);
        Some(number)
    }

    /// Takes back all but [`REMEMBERED`] of the numbers that have been unused for long, oldest first.
    fn forget(&mut self, now: UnixSeconds) -> bool {
        if self.unused.len() <= REMEMBERED {
            return false;
        }
        let mut expired: Vec<_> = self.expired(now).collect();
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
        self.unused.remove(&number);
    }
}

impl<K> Slot<K> {
    /// Since when it has been unused, if that is long enough for it to be given away.
    fn expired_since(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        self.unused_since.filter(|since| now.saturating_sub(*since) >= KEPT_FOR.as_secs())
    }
}
