//! A sorted map whose copies share what is the same in them: a snapshot costs little beside what is in it, and the
//! difference of two snapshots is found without looking at what they share.
//!
//! ```text
//! before   [a b c] [d e f] [g h i]
//!             │       ×       │       × is copied for a change of e
//! after    [a b c] [d E f] [g h i]
//! ```

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

/// More entries than this in a piece make two of it.
const LARGEST: usize = 64;
/// Fewer than this go to a neighbour that has room.
const SMALLEST: usize = 16;

type Piece<K, V> = Vec<(K, V)>;

/// Keys with their values, sorted, as in a `BTreeMap`. To clone it costs a pointer for some dozens of entries, and to
/// change a clone some dozens of copies; so keys and values should be cheap to clone.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    /// Sorted; none is empty.
    pieces: Vec<Arc<Piece<K, V>>>,
    len: usize,
}

/// What is different in the later of two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'m, K, V> {
    /// The key.
    pub key: &'m K,
    /// Its value in the earlier map; `None`: it was not there.
    pub before: Option<&'m V>,
    /// Its value in the later map; `None`: it is not there any more.
    pub after: Option<&'m V>,
}

// === impl SharedMap ===

impl<K, V> SharedMap<K, V> {
    /// A map without entries.
    pub const fn new() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }

    /// How many entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries, by ascending key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { rest: self.pieces.iter(), piece: [].iter() }
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// The values, by ascending key.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let piece = self.pieces.get(self.piece_of(key))?;
        let at = find(piece, key).ok()?;
        Some(&piece[at].1)
    }

    /// Whether the key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The entries whose key is this one or a greater one, by ascending key.
    pub fn starting_at<Q: Ord + ?Sized>(&self, key: &Q) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let mut rest = self.pieces[self.piece_of(key)..].iter();
        let first = rest.next().map_or(&[][..], |piece| piece);
        let at = find(first, key).unwrap_or_else(|at| at);
        Iter { rest, piece: first[at..].iter() }
    }

    /// The piece in which the key is, if it is anywhere.
    fn piece_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.pieces.partition_point(|piece| piece[0].0.borrow() <= key).saturating_sub(1)
    }

    /// What is different in `after`, by ascending key; quick where the one was made from the other.
    pub fn changes<'m>(&'m self, after: &'m Self) -> Vec<Change<'m, K, V>>
    where
        V: PartialEq,
    {
        let (mut old, mut new) = (Cursor::of(self), Cursor::of(after));
        let mut changes = Vec::new();
        loop {
            if old.skip_shared(&mut new) {
                continue;
            }
            let change = match (old.entry(), new.entry()) {
                (None, None) => return changes,
                (Some((key, before)), Some((other, after))) if key == other => {
                    old.next();
                    new.next();
                    if before == after {
                        continue;
                    }
                    Change { key, before: Some(before), after: Some(after) }
                }
                (Some((key, before)), other) if other.is_none_or(|(other, _)| key < other) => {
                    old.next();
                    Change { key, before: Some(before), after: None }
                }
                (_, Some((key, after))) => {
                    new.next();
                    Change { key, before: None, after: Some(after) }
                }
                (Some(_), None) => unreachable!("invariant: the arm before takes it"),
            };
            changes.push(change);
        }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Puts in a value; gives the one that the key had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let at = self.piece_of(&key);
        let Some(piece) = self.pieces.get_mut(at) else {
            self.pieces.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return None;
        };
        let piece = Arc::make_mut(piece);
        match find(piece, &key) {
            Ok(found) => return Some(std::mem::replace(&mut piece[found].1, value)),
            Err(place) => piece.insert(place, (key, value)),
        }
        self.len += 1;
        if piece.len() > LARGEST {
            let upper = piece.split_off(piece.len() / 2);
            self.pieces.insert(at + 1, Arc::new(upper));
        }
        None
    }

    /// Takes out a key; gives its value. One that is not there changes nothing.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.piece_of(key);
        let place = find(self.pieces.get(at)?, key).ok()?;
        let piece = Arc::make_mut(&mut self.pieces[at]);
        let (_, value) = piece.remove(place);
        let len = piece.len();
        self.len -= 1;
        if len < SMALLEST {
            self.join(at, len);
        }
        Some(value)
    }

    /// The values, by ascending key, to be changed in place: of every piece a copy is made that others share.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.pieces.iter_mut().flat_map(|piece| Arc::make_mut(piece).iter_mut().map(|(_, value)| value))
    }

    /// Takes out the entries that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let refused = self.iter().filter(|(key, value)| !keep(key, value)).map(|(key, _)| key.clone());
        for key in refused.collect::<Vec<_>>() {
            self.remove(&key);
        }
    }

    /// Puts a small piece into a neighbour that has room; an empty one goes in any case.
    fn join(&mut self, at: usize, len: usize) {
        let has_room = |piece: &Arc<Piece<K, V>>| piece.len() + len <= LARGEST;
        if len == 0 {
            self.pieces.remove(at);
        } else if self.pieces.get(at + 1).is_some_and(has_room) {
            let next = self.pieces.remove(at + 1);
            Arc::make_mut(&mut self.pieces[at]).extend(next.iter().cloned());
        } else if at > 0 && has_room(&self.pieces[at - 1]) {
            let piece = self.pieces.remove(at);
            Arc::make_mut(&mut self.pieces[at - 1]).extend(piece.iter().cloned());
        }
    }

    /// The value of a key, to be changed in place.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.piece_of(key);
        let place = find(self.pieces.get(at)?, key).ok()?;
        Some(&mut Arc::make_mut(&mut self.pieces[at])[place].1)
    }
}

fn find<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized>(piece: &[(K, V)], key: &Q) -> Result<usize, usize> {
    piece.binary_search_by(|(own, _)| own.borrow().cmp(key))
}

// === impl Iter ===

/// The entries of a [`SharedMap`], by ascending key.
#[derive(Debug)]
pub struct Iter<'m, K, V> {
    rest: std::slice::Iter<'m, Arc<Piece<K, V>>>,
    piece: std::slice::Iter<'m, (K, V)>,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        let Self { rest, piece } = self;
        Self { rest: rest.clone(), piece: piece.clone() }
    }
}

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.piece.next() {
                return Some((key, value));
            }
            self.piece = self.rest.next()?.iter();
        }
    }
}

// === impl Cursor ===

/// A place in a map.
struct Cursor<'m, K, V> {
    pieces: &'m [Arc<Piece<K, V>>],
    /// In the first piece; always before its end.
    at: usize,
}

impl<'m, K, V> Cursor<'m, K, V> {
    fn of(map: &'m SharedMap<K, V>) -> Self {
        Self { pieces: &map.pieces, at: 0 }
    }

    fn entry(&self) -> Option<(&'m K, &'m V)> {
        let (key, value) = &self.pieces.first()?[self.at];
        Some((key, value))
    }

    fn next(&mut self) {
        self.at += 1;
        if self.pieces.first().is_some_and(|piece| piece.len() == self.at) {
            self.skip();
        }
    }

    fn skip(&mut self) {
        self.pieces = &self.pieces[1..];
        self.at = 0;
    }

    /// Goes past the piece that both stand before, if it is one and the same.
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        let (Some(one), Some(two)) = (self.pieces.first(), other.pieces.first()) else { return false };
        let is_shared = self.at == 0 && other.at == 0 && Arc::ptr_eq(one, two);
        if is_shared {
            self.skip();
            other.skip();
        }
        is_shared
    }
}

// === conversions ===

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes(other).is_empty()
    }
}

impl<K: Ord, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for SharedMap<K, V> {
    type Output = V;

    /// # Panics
    ///
    /// The key is not there.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("no entry for the key")
    }
}

impl<'m, K, V> IntoIterator for &'m SharedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord + Clone, V: Clone, const N: usize> From<[(K, V); N]> for SharedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u16, u8),
        /// Puts in a run of keys, so that pieces are split.
        InsertAll(u16, u16),
        Remove(u16),
        /// Takes out a run of keys, so that pieces are joined.
        RemoveAll(u16, u16),
        Mutate(u16),
        /// Keeps a copy, with which the end is compared.
        Keep,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = || 0..1_000_u16;
        prop_oneof![
            4 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            1 => (key(), 0..200_u16).prop_map(|(key, count)| Step::InsertAll(key, count)),
            4 => key().prop_map(Step::Remove),
            1 => (key(), 0..200_u16).prop_map(|(key, count)| Step::RemoveAll(key, count)),
            1 => key().prop_map(Step::Mutate),
            1 => Just(Step::Keep),
        ]
    }

    /// The difference, found by looking at every key.
    fn naive<'m>(before: &'m BTreeMap<u16, u8>, after: &'m BTreeMap<u16, u8>) -> Vec<Change<'m, u16, u8>> {
        let keys: std::collections::BTreeSet<&u16> = before.keys().chain(after.keys()).collect();
        let change = |key| Change { key, before: before.get(key), after: after.get(key) };
        keys.into_iter().map(change).filter(|change| change.before != change.after).collect()
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_map_holds_and_tells_what_is_different(
            steps in prop::collection::vec(step(), 0..60),
            asked in 0..1_100_u16,
        ) {
            let (mut plain, mut shared) = (BTreeMap::new(), SharedMap::new());
            let mut kept = vec![(plain.clone(), shared.clone())];
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        prop_assert_eq!(shared.insert(key, value), plain.insert(key, value));
                    }
                    Step::InsertAll(first, count) => {
                        let all = (first..first + count).map(|key| (key, 7));
                        shared.extend(all.clone());
                        plain.extend(all);
                    }
                    Step::Remove(key) => prop_assert_eq!(shared.remove(&key), plain.remove(&key)),
                    Step::RemoveAll(first, count) => {
                        for key in first..first + count {
                            prop_assert_eq!(shared.remove(&key), plain.remove(&key));
                        }
                    }
                    Step::Mutate(key) => {
                        let (one, other) = (shared.get_mut(&key), plain.get_mut(&key));
                        prop_assert_eq!(one.is_some(), other.is_some());
                        for value in one.into_iter().chain(other) {
                            *value = value.wrapping_add(1);
                        }
                    }
                    Step::Keep => kept.push((plain.clone(), shared.clone())),
                }
            }
            prop_assert_eq!(shared.len(), plain.len());
            prop_assert!(shared.iter().eq(plain.iter()));
            prop_assert!(shared.starting_at(&asked).eq(plain.range(asked..)));
            prop_assert_eq!(shared.get(&asked), plain.get(&asked));
            let whole = |piece: &Arc<Piece<_, _>>| !piece.is_empty() && piece.len() <= LARGEST;
            prop_assert!(shared.pieces.iter().all(whole));
            for (earlier, copy) in &kept {
                prop_assert!(copy.iter().eq(earlier.iter()), "a copy stays as it was");
                prop_assert_eq!(copy.changes(&shared), naive(earlier, &plain));
                prop_assert_eq!(shared.changes(copy), naive(&plain, earlier));
                prop_assert_eq!(*copy == shared, *earlier == plain);
            }
        }
    }

    #[test]
    fn what_two_copies_share_is_not_looked_at() {
        /// A value that cannot be compared.
        #[derive(Debug, Clone)]
        struct Shared(bool);
        impl PartialEq for Shared {
            fn eq(&self, other: &Self) -> bool {
                assert!(self.0 || other.0, "a shared piece was looked at");
                false
            }
        }
        let before: SharedMap<u32, Shared> = (0..10_000).map(|key| (key, Shared(false))).collect();
        let mut after = before.clone();
        let piece = before.piece_of(&5_000);
        for (key, _) in before.pieces[piece].iter() {
            after.insert(*key, Shared(true));
        }
        assert_eq!(before.changes(&after).len(), before.pieces[piece].len());
    }
}
