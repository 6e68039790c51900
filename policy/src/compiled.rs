//! A compiled table: the entries of the kernel's `rules` map for one set of policies, and the kernel's look-up as
//! a function.

use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;

use crate::rule_sets::RuleSet;
use crate::scope::Scope;

/// What the kernel needs to judge the endpoints of one [`crate::PolicySet`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompiledSet {
    /// Whether ingress passes only where an entry allows it.
    pub isolated_ingress: bool,
    /// Whether egress passes only where an entry allows it.
    pub isolated_egress: bool,
    /// Sorted by peer, direction and scope, each such key once.
    pub entries: Vec<Entry>,
}

/// One entry of the `rules` map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whom it allows.
    pub peer: PeerKey,
    /// In which direction, as the endpoint sees it.
    pub direction: Direction,
    /// Which of its traffic.
    pub scope: Scope,
    /// Every rule that allows it, those of less specific entries included; empty only where
    /// it is for a pod behind the service alone that may connect to itself.
    pub rules: RuleSet,
    /// Of a service: not all of its backends are allowed by rules, so each connection is judged where it is delivered.
    pub later: bool,
}

/// The peer part of an entry's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKey {
    /// Every peer.
    Any,
    /// The pods of an internal identity.
    Identity(u32),
    /// The addresses of a CIDR class.
    Class(u32),
    /// The addresses of services with the same backends; of egress only.
    Service(u32),
}

/// What the kernel knows about the first packet of a connection when it looks up the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Internal identity of the peer.
    pub identity: u32,
    /// CIDR class of the peer's address; 0: none.
    pub class: u32,
    /// Direction as the endpoint sees it.
    pub direction: Direction,
    /// IP protocol.
    pub protocol: Protocol,
    /// Destination port of the connection in host order; `None` where there is none or it is not known.
    pub port: Option<u16>,
}

/// What the kernel finds; its event carries both numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// By the key of the peer's identity, else by the key of any peer.
    pub by_identity: Option<Entry>,
    /// By the key of the class.
    pub by_class: Option<Entry>,
}

// === impl CompiledSet ===

impl CompiledSet {
    /// Whether this direction is isolated; where it is not, no look-up is made.
    pub const fn isolates(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.isolated_ingress,
            Direction::Egress => self.isolated_egress,
        }
    }

    /// The kernel's look-up: the longest prefix for the identity; for any peer, if the identity has none; and for the
    /// class. Allowed if anything is found. Reads every entry: for tests and explanations, not for packets.
    pub fn lookup(&self, probe: &Probe) -> Lookup {
        let identity = self.longest_prefix(PeerKey::Identity(probe.identity), probe);
        let class =
            (probe.class != 0).then(|| self.longest_prefix(PeerKey::Class(probe.class), probe)).flatten();
        Lookup {
            by_identity: identity.or_else(|| self.longest_prefix(PeerKey::Any, probe)).cloned(),
            by_class: class.cloned(),
        }
    }

    /// A packet without a port is asked for with a key of 80 bits, so that no entry for ports is found.
    fn longest_prefix(&self, peer: PeerKey, probe: &Probe) -> Option<&Entry> {
        let wanted = key_bits(peer, probe.direction, probe.protocol.number(), probe.port.unwrap_or(0));
        let length = if probe.port.is_some() { Scope::PORT_BITS } else { Scope::PROTOCOL_BITS };
        self.entries
            .iter()
            .filter(|entry| {
                let bits = entry.scope.prefix_bits();
                bits <= length && (entry.key_bits() ^ wanted) >> (Scope::PORT_BITS - bits) == 0
            })
            .max_by_key(|entry| entry.scope.prefix_bits())
    }
}

// === impl Entry ===

impl Entry {
    /// The key's bits after the set's number: peer 32, direction 8, protocol 8, port 16.
    fn key_bits(&self) -> u128 {
        key_bits(self.peer, self.direction, self.scope.protocol_number(), self.scope.port())
    }
}

fn key_bits(peer: PeerKey, direction: Direction, protocol: u8, port: u16) -> u128 {
    u128::from(peer.number()) << 32
        | u128::from(peer.direction(direction)) << 24
        | u128::from(protocol) << 16
        | u128::from(port)
}

// === impl PeerKey ===

impl PeerKey {
    /// The bit that marks a class: the kernel's `PEER_CLASS`.
    pub const CLASS_BIT: u32 = 0x8000_0000;

    /// What marks a service, in place of the direction: the kernel's `DIRECTION_SERVICE`.
    pub const SERVICE_DIRECTION: u8 = 3;

    /// The direction that stands in the kernel's key.
    pub const fn direction(self, direction: Direction) -> u8 {
        match self {
            Self::Service(_) => Self::SERVICE_DIRECTION,
            Self::Any | Self::Identity(_) | Self::Class(_) => direction as u8,
        }
    }

    /// The number that stands in the kernel's key; 0 for any peer.
    pub const fn number(self) -> u32 {
        match self {
            Self::Any => 0,
            Self::Identity(number) | Self::Service(number) => number,
            Self::Class(class) => Self::CLASS_BIT | class,
        }
    }
}

// === impl Lookup ===

impl Lookup {
    /// Whether the packet passes where its direction is isolated.
    pub const fn allows(&self) -> bool {
        self.by_identity.is_some() || self.by_class.is_some()
    }

    /// Every rule that allows it; empty if none does.
    pub fn rules(&self) -> RuleSet {
        let found = [&self.by_identity, &self.by_class].into_iter().flatten();
        RuleSet::new(found.flat_map(|entry| entry.rules.iter().cloned()).collect())
    }
}
