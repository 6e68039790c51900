//! One connection, with what the interfaces that it crosses know of it.

use std::net::IpAddr;

use palomar_bpf::MapError;
use palomar_bpf::abi::{
    CONNECTION_MASKED, CONNECTION_UNORIENTED, Connection, ConnectionKey, Direction, Lifetimes, LimitKey,
    address_from_bytes,
};
use palomar_model::packet::Protocol;

use super::names::{Names, Whose};
use super::state::{State, state};
use super::tables::ConnectionTables;

/// How old a connection must be before it is said not to have arrived, in nanoseconds: a packet takes a moment from one
/// interface to the next, and the kernel's times are those of a clock tick.
const TOO_SOON_NS: u64 = 100_000_000;
/// How much earlier than a denial its mark in the rate limit may be, in nanoseconds.
const DENIAL_BLUR_NS: u64 = 1_000_000_000;

/// An entry of the kernel's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: ConnectionKey,
    pub(super) connection: Connection,
}

/// The entries of one connection, by the end at whose interface they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    Source(Entry),
    Destination(Entry),
    Both { source: Entry, destination: Entry },
}

/// Whether it reached its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Unknown,
    Arrived,
    Missing,
    Denied,
}

/// A live connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) sides: Sides,
    pub(super) is_oriented: bool,
    pub(super) arrival: Arrival,
}

/// One end of a connection, as its packets show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrackedEnd {
    pub(super) whose: Whose,
    pub(super) address: IpAddr,
    /// 0 for protocols without ports.
    pub(super) port: u16,
}

/// What an entry is for a list of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and a box would be one a connection"
)]
pub(super) enum Seen {
    /// Not live.
    Over,
    /// The other entry of its connection stands for both.
    ByTheOther,
    /// This connection.
    Tracked(Tracked),
}

// === impl Entry ===

impl Entry {
    /// Whether the end behind its interface began the connection; `None` where that is not known.
    fn is_of_source(&self) -> Option<bool> {
        let is_oriented = self.connection.flags & CONNECTION_UNORIENTED == 0;
        is_oriented.then(|| self.connection.origin == Direction::Egress.number())
    }

    pub(super) fn state(&self) -> State {
        state(self.key.protocol, &self.connection)
    }

    fn port(&self, network_order: u16) -> u16 {
        let has_ports = Protocol::from_number(self.key.protocol).has_ports();
        if has_ports { u16::from_be(network_order) } else { 0 }
    }

    fn local_end(&self) -> TrackedEnd {
        TrackedEnd {
            whose: Whose::Interface(self.key.ifindex),
            address: address_from_bytes(self.key.local),
            port: self.port(self.key.local_port),
        }
    }

    fn remote_end(&self, names: &Names) -> TrackedEnd {
        let address = address_from_bytes(self.key.remote);
        // to an address of the node that the pod itself has called, the node answers
        let is_masked = self.connection.flags & CONNECTION_MASKED != 0 && self.is_of_source() != Some(true);
        let Connection { began, last_seen, .. } = self.connection;
        TrackedEnd {
            whose: if is_masked { Whose::Masked } else { names.owner(address, began, last_seen) },
            address,
            port: self.port(self.key.remote_port),
        }
    }
}

// === impl Tracked ===

impl Tracked {
    /// The entry that state, times and traffic are told from.
    pub(super) fn told_by(&self) -> &Entry {
        match &self.sides {
            Sides::Source(entry) | Sides::Destination(entry) | Sides::Both { source: entry, .. } => entry,
        }
    }

    /// Source and destination.
    pub(super) fn ends(&self, names: &Names) -> [TrackedEnd; 2] {
        match &self.sides {
            Sides::Source(entry) => [entry.local_end(), entry.remote_end(names)],
            Sides::Destination(entry) => [entry.remote_end(names), entry.local_end()],
            Sides::Both { source, destination } => [source.local_end(), destination.local_end()],
        }
    }

    /// Of a pair that an entry has by direction: what goes from source to destination, and what comes back.
    pub(super) fn ways(&self, entry: &Entry, of: impl Fn(&Connection) -> [u64; 2]) -> [u64; 2] {
        let pair = of(&entry.connection);
        let (to_pod, from_pod) = (pair[Connection::INGRESS], pair[Connection::EGRESS]);
        let is_of_source = match &self.sides {
            Sides::Source(_) => true,
            Sides::Destination(_) => false,
            Sides::Both { source, .. } => source.key == entry.key,
        };
        if is_of_source { [from_pod, to_pod] } else { [to_pod, from_pod] }
    }
}

/// The key of the same connection at the interface of its other end.
fn at_the_other_end(key: &ConnectionKey, ifindex: u32) -> ConnectionKey {
    let asked = match Direction::try_from(key.asked) {
        Ok(Direction::Ingress) => Direction::Egress.number(),
        Ok(Direction::Egress) => Direction::Ingress.number(),
        Err(other) => other,
    };
    ConnectionKey {
        local: key.remote,
        remote: key.local,
        local_port: key.remote_port,
        remote_port: key.local_port,
        asked,
        ifindex,
        ..*key
    }
}

/// Reads entries of the table at one moment of the kernel's clock.
pub(super) struct Reader<'a> {
    pub(super) names: &'a Names,
    pub(super) tables: &'a dyn ConnectionTables,
    pub(super) now_ns: u64,
    pub(super) lifetimes: Lifetimes,
}

// === impl Reader ===

impl Reader<'_> {
    /// What an entry is, and its other side if it has one. Of two entries of a connection exactly one stands for it.
    pub(super) fn read(&self, key: &ConnectionKey, connection: &Connection) -> Result<Seen, MapError> {
        let entry = Entry { key: *key, connection: *connection };
        if self.is_over(&entry) || !self.names.is_watched(key.ifindex) {
            return Ok(Seen::Over);
        }
        match self.other_side(&entry)? {
            Some(other) => Ok(both(entry, other).map_or(Seen::ByTheOther, Seen::Tracked)),
            None => Ok(Seen::Tracked(self.alone(entry)?)),
        }
    }

    fn is_over(&self, entry: &Entry) -> bool {
        entry.connection.is_over(entry.key.protocol, self.now_ns, &self.lifetimes)
    }

    /// The interface of the peer, where that is a pod of this node.
    fn peer(&self, entry: &Entry) -> Option<u32> {
        match entry.remote_end(self.names).whose {
            Whose::Address(address) => self.names.interface_of(address),
            Whose::Former(_) | Whose::Gone(_) | Whose::Interface(_) | Whose::Masked => None,
        }
    }

    fn other_side(&self, entry: &Entry) -> Result<Option<Entry>, MapError> {
        let Some(ifindex) = self.peer(entry) else { return Ok(None) };
        let key = at_the_other_end(&entry.key, ifindex);
        if key == entry.key {
            return Ok(None);
        }
        let Some(connection) = self.tables.connection(&key)? else { return Ok(None) };
        let other = Entry { key, connection };
        let fits = match (entry.is_of_source(), other.is_of_source()) {
            (Some(one), Some(other)) => one != other,
            _ => true,
        };
        Ok((fits && !self.is_over(&other)).then_some(other))
    }

    fn alone(&self, entry: Entry) -> Result<Tracked, MapError> {
        let is_of_source = entry.is_of_source();
        let sides =
            if is_of_source == Some(false) { Sides::Destination(entry) } else { Sides::Source(entry) };
        let arrival = match sides {
            Sides::Destination(_) | Sides::Both { .. } => Arrival::Arrived,
            Sides::Source(entry) => self.arrival(&entry)?,
        };
        Ok(Tracked { sides, is_oriented: is_of_source.is_some(), arrival })
    }

    /// Whether the packets of a pod reached their destination, of which no entry is there.
    fn arrival(&self, entry: &Entry) -> Result<Arrival, MapError> {
        let Entry { key, connection } = entry;
        let (answers, packets) =
            (connection.packets[Connection::INGRESS], connection.packets[Connection::EGRESS]);
        let Some(ifindex) = self.peer(entry) else { return Ok(Arrival::Unknown) };
        if answers > 0 {
            let is_known = entry.is_of_source().is_some();
            return Ok(if is_known { Arrival::Arrived } else { Arrival::Unknown });
        }
        let is_too_soon = self.now_ns.saturating_sub(connection.began) < TOO_SOON_NS;
        if packets == 0 || is_too_soon {
            return Ok(Arrival::Unknown);
        }
        let denied = self.tables.last_denied(&LimitKey {
            peer: key.local,
            ifindex,
            port: key.remote_port,
            protocol: key.protocol,
            direction: Direction::Ingress.number(),
        })?;
        let is_denied = denied.is_some_and(|at| at.saturating_add(DENIAL_BLUR_NS) >= connection.began);
        Ok(if is_denied { Arrival::Denied } else { Arrival::Missing })
    }
}

/// One connection of two entries, told by the one at its source; `None` from the other of them, so that it is told
/// once. Where neither knows which end began, the one with the lesser interface index is taken for the source.
fn both(entry: Entry, other: Entry) -> Option<Tracked> {
    let known = entry.is_of_source().or(other.is_of_source().map(|is_source| !is_source));
    let is_of_source = known.unwrap_or_else(|| order(&entry.key) < order(&other.key));
    is_of_source.then_some(Tracked {
        sides: Sides::Both { source: entry, destination: other },
        is_oriented: known.is_some(),
        arrival: Arrival::Arrived,
    })
}

/// Two entries of one connection differ in this: at one interface, by the ends.
fn order(key: &ConnectionKey) -> (u32, [u8; 16], u16) {
    (key.ifindex, key.local, key.local_port)
}
