//! The tracked connections.

use std::os::fd::OwnedFd;

use super::{Entries, MapError, Table, Walk};
use crate::abi::{Connection, ConnectionKey};

/// The table of connections, which the programs write; the oldest make room for new ones.
#[derive(Debug)]
pub struct Connections {
    table: Table<ConnectionKey, Connection>,
}

impl Connections {
    pub(crate) fn open(map: OwnedFd) -> Result<Self, MapError> {
        Ok(Self { table: Table::open("connections", map)? })
    }

    /// The capacity in connections.
    pub fn capacity(&self) -> u32 {
        self.table.max_entries()
    }

    /// Number of entries, those included that have timed out and were not met again. Walks the table: some
    /// milliseconds for a hundred thousand.
    pub fn count(&self) -> Result<usize, MapError> {
        self.table.count()
    }

    /// The entry of one connection; `None` where it is not tracked.
    pub fn get(&self, key: &ConnectionKey) -> Result<Option<Connection>, MapError> {
        self.table.get(key)
    }

    /// The beginning of a walk over the entries, those that are over included.
    pub fn walk(&self) -> Walk<ConnectionKey, Connection> {
        self.table.walk()
    }

    /// The next entries of a walk, as [`Table::next`] gives them.
    pub fn next<'w>(
        &self,
        walk: &'w mut Walk<ConnectionKey, Connection>,
    ) -> Result<Option<Entries<'w, ConnectionKey, Connection>>, MapError> {
        self.table.next(walk)
    }

    /// Every entry.
    pub fn entries(&self) -> Result<Vec<(ConnectionKey, Connection)>, MapError> {
        self.table.entries()
    }

    /// Enters connections that no packet has made: for a table of which reading is to be measured.
    pub fn enter(
        &self,
        connections: impl IntoIterator<Item = (ConnectionKey, Connection)>,
    ) -> Result<(), MapError> {
        self.table.insert_all(connections)
    }

    /// Enters what a replaced table knows, as far as this one does not know better; gives how many.
    pub(crate) fn take_over(&self, old: &Self) -> Result<usize, MapError> {
        let mut entries = old.entries()?;
        // The most recent last, so that they are the ones that stay where this table is smaller.
        entries.sort_unstable_by_key(|(_, connection)| connection.last_seen);
        let mut taken = 0;
        for (key, connection) in &entries {
            taken += usize::from(self.table.insert_absent(key, connection)?);
        }
        Ok(taken)
    }
}
