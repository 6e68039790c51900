//! The policy table.

use bytemuck::{Pod, Zeroable};

/// Internal identity, as [`RuleKey::peer`] only: any peer.
pub const IDENTITY_ANY: u32 = 0;
/// Internal identity of the node.
pub const IDENTITY_HOST: u32 = 1;
/// Internal identity of every address that nobody knows.
pub const IDENTITY_WORLD: u32 = 2;
/// Internal identity of a veth's peer that no pod claims.
pub const IDENTITY_UNMANAGED: u32 = 3;
/// `PEER_CLASS | class` as [`RuleKey::peer`]: every address of a CIDR class.
pub const PEER_CLASS: u32 = 0x8000_0000;
/// As [`RuleKey::direction`]: egress to a service. The peer is then the number of its backends, the port the service's.
pub const DIRECTION_SERVICE: u8 = 3;
/// As [`Rule::rule_set`]: the backends of a service's port differ; a connection is judged where it is delivered.
pub const RULES_LATER: u32 = 0xffff_ffff;

/// Prefix of a rule for all protocols.
pub const RULE_PREFIX_PEER: u32 = 72;
/// Prefix of a rule for all ports of a protocol.
pub const RULE_PREFIX_PROTOCOL: u32 = 80;
/// Prefix of a rule for one port; a range of ports stands as prefixes between this and [`RULE_PREFIX_PROTOCOL`].
pub const RULE_PREFIX_PORT: u32 = 96;

/// Key of map `rules`, a longest-prefix trie. The most specific entry is found, so its rule set must hold every rule of
/// the less specific entries of the same peer as well.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Pod, Zeroable)]
pub struct RuleKey {
    /// Bits that count, from `set` on.
    pub prefix_len: u32,
    /// Policy set.
    pub set: u32,
    /// Internal identity, `PEER_CLASS | class`, or [`IDENTITY_ANY`]; with [`DIRECTION_SERVICE`] the number of backends.
    pub peer: u32,
    /// A [`Direction`](super::Direction), or [`DIRECTION_SERVICE`].
    pub direction: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port of the connection, in network order.
    pub port: u16,
}

const _: () = assert!(size_of::<RuleKey>() == 16);

/// Value of map `rules`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Rule {
    /// Interned id of the set of rules that allow, or [`RULES_LATER`]; never 0.
    pub rule_set: u32,
    /// Of the key, so that the match type can be told.
    pub prefix_len: u32,
}

const _: () = assert!(size_of::<Rule>() == 8);
