//! Hashes and tries, read and written in batches.

use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

use bytemuck::Pod;

use super::MapError;
use crate::sys::map::{self, Batch};

/// Entries a system call.
const BATCH: usize = 4096;

/// A map from `K` to `V`.
#[derive(Debug)]
pub struct Table<K, V> {
    name: &'static str,
    fd: OwnedFd,
    max_entries: u32,
    types: PhantomData<fn(K) -> V>,
}

/// Keys, and to each its value.
pub type Entries<'a, K, V> = (&'a [K], &'a [V]);

/// How far a walk over a table has come, and room for its entries.
#[derive(Debug)]
pub struct Walk<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
    /// Where to go on: a key, or the number of a hash's bucket.
    from: Option<Vec<u8>>,
    ended: bool,
}

// === impl Walk ===

impl<K: Pod, V: Pod> Walk<K, V> {
    fn grow(&mut self) {
        let room = 2 * self.keys.len();
        self.keys.resize(room, K::zeroed());
        self.values.resize(room, V::zeroed());
    }
}

// === impl Table ===

impl<K: Pod, V: Pod> Table<K, V> {
    pub(crate) fn open(name: &'static str, fd: OwnedFd) -> Result<Self, MapError> {
        let shape = map::shape(&fd).map_err(MapError::kernel("inspect", name))?;
        if shape.key_size as usize != size_of::<K>() || shape.value_size as usize != size_of::<V>() {
            return Err(MapError::Shape { map: name });
        }
        Ok(Self { name, fd, max_entries: shape.max_entries, types: PhantomData })
    }

    /// The capacity in entries.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// The value; `None` where the key is absent. A trie gives the value of the longest prefix.
    pub fn get(&self, key: &K) -> Result<Option<V>, MapError> {
        let mut value = V::zeroed();
        let found = map::lookup(&self.fd, bytemuck::bytes_of(key), bytemuck::bytes_of_mut(&mut value))
            .map_err(MapError::kernel("read", self.name))?;
        Ok(found.then_some(value))
    }

    /// Enters one pair, in place of what the key had.
    pub fn insert(&self, key: &K, value: &V) -> Result<(), MapError> {
        map::update(&self.fd, bytemuck::bytes_of(key), bytemuck::bytes_of(value))
            .map_err(|error| self.refused(error))
    }

    /// Enters one pair unless the key is there; `false` where it is.
    pub(super) fn insert_absent(&self, key: &K, value: &V) -> Result<bool, MapError> {
        map::insert_absent(&self.fd, bytemuck::bytes_of(key), bytemuck::bytes_of(value))
            .map_err(|error| self.refused(error))
    }

    /// Removes one key; `false` where it was absent.
    pub fn remove(&self, key: &K) -> Result<bool, MapError> {
        map::delete(&self.fd, bytemuck::bytes_of(key)).map_err(MapError::kernel("remove from", self.name))
    }

    /// Enters pairs in order, some thousands a system call. Stops at the first that is refused; those before stay.
    pub fn insert_all(&self, pairs: impl IntoIterator<Item = (K, V)>) -> Result<(), MapError> {
        let (mut keys, mut values) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        for (key, value) in pairs {
            keys.push(key);
            values.push(value);
            if keys.len() == BATCH {
                self.insert_batch(&keys, &values)?;
                keys.clear();
                values.clear();
            }
        }
        self.insert_batch(&keys, &values)
    }

    fn insert_batch(&self, keys: &[K], values: &[V]) -> Result<(), MapError> {
        if keys.is_empty() {
            return Ok(());
        }
        let Batch { error, .. } =
            map::update_batch(&self.fd, bytemuck::cast_slice(keys), bytemuck::cast_slice(values), keys.len());
        error.map_or(Ok(()), |error| Err(self.refused(error)))
    }

    /// Removes keys, some thousands a system call; absent ones are fine. Gives how many were there.
    pub fn remove_all(&self, keys: impl IntoIterator<Item = K>) -> Result<usize, MapError> {
        let mut removed = 0;
        let mut batch = Vec::with_capacity(BATCH);
        for key in keys {
            batch.push(key);
            if batch.len() == BATCH {
                removed += self.remove_batch(&batch)?;
                batch.clear();
            }
        }
        Ok(removed + self.remove_batch(&batch)?)
    }

    fn remove_batch(&self, mut keys: &[K]) -> Result<usize, MapError> {
        let mut removed = 0;
        while !keys.is_empty() {
            let Batch { done, error } = map::delete_batch(&self.fd, bytemuck::cast_slice(keys), keys.len());
            removed += done;
            let absent = match error {
                None => 0,
                Some(error) if error.raw_os_error() == Some(libc::ENOENT) => 1,
                Some(error) => return Err(MapError::kernel("remove from", self.name)(error)),
            };
            keys = keys.get(done + absent..).unwrap_or_default();
        }
        Ok(removed)
    }

    /// Every entry. What changes meanwhile may be missed.
    pub fn entries(&self) -> Result<Vec<(K, V)>, MapError> {
        let (mut entries, mut walk) = (Vec::new(), self.walk());
        while let Some((keys, values)) = self.next(&mut walk)? {
            entries.extend(keys.iter().copied().zip(values.iter().copied()));
        }
        Ok(entries)
    }

    /// Number of entries, by walking them all.
    pub fn count(&self) -> Result<usize, MapError> {
        let (mut count, mut walk) = (0, self.walk());
        while let Some((keys, _)) = self.next(&mut walk)? {
            count += keys.len();
        }
        Ok(count)
    }

    /// The beginning of a walk over the entries.
    pub fn walk(&self) -> Walk<K, V> {
        let room = BATCH.min(self.max_entries as usize).max(1);
        Walk { keys: vec![K::zeroed(); room], values: vec![V::zeroed(); room], from: None, ended: false }
    }

    /// The next entries of a walk over this table, some thousands at most, in no order; `None` at its end. What
    /// changes meanwhile may be missed, and of a hash nothing that stays is met twice.
    pub fn next<'w>(&self, walk: &'w mut Walk<K, V>) -> Result<Option<Entries<'w, K, V>>, MapError> {
        while !walk.ended {
            let (mut next, room) = (vec![0; size_of::<K>().max(8)], walk.keys.len());
            let batch = map::lookup_batch(
                &self.fd,
                walk.from.as_deref(),
                &mut next,
                bytemuck::cast_slice_mut(&mut walk.keys),
                bytemuck::cast_slice_mut(&mut walk.values),
                room,
            );
            match batch.error.as_ref().and_then(io::Error::raw_os_error) {
                None => walk.from = Some(next),
                Some(libc::ENOENT) => walk.ended = true,
                // One bucket of the hash holds more than fits.
                Some(libc::ENOSPC) => walk.grow(),
                Some(code) => {
                    let error = io::Error::from_raw_os_error(code);
                    return Err(MapError::kernel("walk", self.name)(error));
                }
            }
            if batch.done > 0 {
                return Ok(Some((&walk.keys[..batch.done], &walk.values[..batch.done])));
            }
        }
        Ok(None)
    }

    fn refused(&self, error: io::Error) -> MapError {
        match error.raw_os_error() {
            Some(libc::E2BIG | libc::ENOSPC) => {
                MapError::Full { map: self.name, max_entries: self.max_entries }
            }
            _ => MapError::kernel("write", self.name)(error),
        }
    }
}
