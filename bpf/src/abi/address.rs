//! What the kernel knows of an address.

use bytemuck::{Pod, Zeroable};

/// Flag of [`Address`]: an address of this node's own interfaces.
pub const ADDRESS_NODE: u32 = 1 << 0;
/// Flag of [`Address`]: a service's, whose packets are rewritten to one of its backends later.
pub const ADDRESS_SERVICE: u32 = 1 << 1;

/// Value of map `addresses`, by the 16 bytes of an address. An absent address is world, with the class that map `cidrs`
/// gives.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Address {
    /// Internal identity.
    pub identity: u32,
    /// CIDR class; 0: in no policy's ipBlock. With [`ADDRESS_SERVICE`] the number of the service's backends.
    pub class: u32,
    /// [`Endpoint::id`](super::Endpoint::id) when the address belongs to a local, observed pod; else 0.
    pub endpoint: u32,
    /// [`ADDRESS_NODE`], [`ADDRESS_SERVICE`] or 0.
    pub flags: u32,
}

const _: () = assert!(size_of::<Address>() == 16);

/// Key of map `node_ports`, whose value is the number (`u32`) of the backends that connections from pods to this port of
/// this node's own addresses are rewritten to. An absent port is the node's own.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Pod, Zeroable)]
pub struct NodePort {
    /// Network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
}

const _: () = assert!(size_of::<NodePort>() == 4);

/// Key of map `cidrs`, a longest-prefix trie whose value is a CIDR class (`u32`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Pod, Zeroable)]
pub struct CidrKey {
    /// Of the mapped address: 96 + n for an IPv4 prefix of n bits.
    pub prefix_len: u32,
    /// The mapped address; bits after the prefix do not matter.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<CidrKey>() == 20);
