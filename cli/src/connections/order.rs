//! In which order connections are shown.

use std::cmp::Ordering;

use palomar_proto::palomar::v1::{Connection, ConnectionRank, Traffic};

/// What connections are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Bytes of both ways.
    Bytes,
    /// Packets of both ways.
    Packets,
    /// Time since the first packet.
    Age,
    /// Time since the last packet.
    Idle,
}

/// An order of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What they are compared by.
    pub key: Key,
    /// Least first instead of most first.
    pub least: bool,
}

// === impl Key ===

impl Key {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "bytes" => Some(Self::Bytes),
            "packets" => Some(Self::Packets),
            "age" => Some(Self::Age),
            "idle" => Some(Self::Idle),
            _ => None,
        }
    }

    /// For the server.
    pub const fn rank(self) -> ConnectionRank {
        match self {
            Self::Bytes => ConnectionRank::Bytes,
            Self::Packets => ConnectionRank::Packets,
            Self::Age => ConnectionRank::Age,
            Self::Idle => ConnectionRank::Idle,
        }
    }

    fn amount(self, connection: &Connection) -> u64 {
        let both = |of: fn(&Traffic) -> u64| {
            let ways = [&connection.sent, &connection.received];
            ways.into_iter().flatten().map(of).fold(0, u64::saturating_add)
        };
        match self {
            Self::Bytes => both(|traffic| traffic.bytes),
            Self::Packets => both(|traffic| traffic.packets),
            Self::Age => connection.age_ns,
            Self::Idle => connection.idle_ns,
        }
    }
}

// === impl Order ===

impl Order {
    /// Sorts, and keeps the first so many; gives how many were cut off. Equals stand in the order of their ends, so that
    /// two looks are easily compared.
    pub fn arrange(self, connections: &mut Vec<Connection>, limit: Option<u64>) -> u64 {
        connections.sort_by(|one, other| self.compare(one, other));
        let before = connections.len();
        if let Some(limit) = limit {
            connections.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        u64::try_from(before - connections.len()).unwrap_or(u64::MAX)
    }

    fn compare(self, one: &Connection, other: &Connection) -> Ordering {
        let by_key = self.key.amount(one).cmp(&self.key.amount(other));
        let by_key = if self.least { by_key } else { by_key.reverse() };
        by_key.then_with(|| ends(one).cmp(&ends(other)))
    }
}

type End<'a> = (&'a str, &'a str, &'a str, u32);

fn ends(connection: &Connection) -> [Option<End<'_>>; 2] {
    [&connection.source, &connection.destination].map(|end| {
        end.as_ref()
            .map(|end| (end.namespace.as_str(), end.pod_name.as_str(), end.address.as_str(), end.port))
    })
}
