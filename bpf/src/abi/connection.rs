//! What the kernel remembers between packets: connections, fragments, rate limits.

use super::{Direction, PolicyWord};
use bytemuck::{Pod, Zeroable};

/// Flag of [`Connection`]: policy would have denied it.
pub const CONNECTION_AUDITED: u8 = 1 << 0;
/// Flag of [`Connection`]: first seen in mid-connection, so which end began it is not known.
pub const CONNECTION_UNORIENTED: u8 = 1 << 1;
/// Flag of [`Connection`]: its packets from the peer carry a node address that hides the real source.
pub const CONNECTION_MASKED: u8 = 1 << 2;
/// Flag of [`Connection`]: policy has closed it, so its last packet was dropped and is not counted.
pub const CONNECTION_DENIED: u8 = 1 << 3;

const TCP: u8 = 6;
const FIN: u8 = 1 << 0;
const RST: u8 = 1 << 2;
const ACK: u8 = 1 << 4;

/// Key of map `connections`; `local` is the pod's side, so that one key serves both directions.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Pod, Zeroable)]
pub struct ConnectionKey {
    /// The pod's address.
    pub local: [u8; 16],
    /// The peer's address.
    pub remote: [u8; 16],
    /// Network order. ICMP query (echo and its like): the identifier in both ports; other portless protocols: 0.
    pub local_port: u16,
    /// As `local_port`, for the peer.
    pub remote_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// ICMP: the [`Direction`](super::Direction) of the query, or of a message that answers nothing; else 0.
    pub asked: u8,
    /// Zero.
    pub pad: [u8; 2],
    /// The interface that the pod is behind.
    pub ifindex: u32,
}

const _: () = assert!(size_of::<ConnectionKey>() == 44);

/// Value of map `connections`. Index 0 of the pairs: ingress; 1: egress.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Connection {
    /// The endpoint's policy when the connection was judged; zero: let pass only because the heartbeat was stale, so
    /// each packet is judged.
    pub policy: PolicyWord,
    /// When its first packet was seen.
    pub began: u64,
    /// When a packet was last seen.
    pub last_seen: u64,
    /// When an event was last sent, by direction; 0: never.
    pub last_event: [u64; 2],
    /// Packets by direction, GSO segments counted.
    pub packets: [u64; 2],
    /// Bytes by direction.
    pub bytes: [u64; 2],
    /// [`Settings::epoch`](super::Settings::epoch) when it was judged.
    pub epoch: u32,
    /// TCP flags seen, by direction.
    pub flags_seen: [u8; 2],
    /// [`Direction`](super::Direction) of the first packet.
    pub origin: u8,
    /// [`CONNECTION_AUDITED`], [`CONNECTION_UNORIENTED`], [`CONNECTION_MASKED`], [`CONNECTION_DENIED`].
    pub flags: u8,
    /// Rules that allowed it by identity, as in the event.
    pub rule_set: u32,
    /// Rules that allowed it by CIDR class, as in the event.
    pub class_rule_set: u32,
}

const _: () = assert!(size_of::<Connection>() == 88);

/// After how many nanoseconds without a packet a connection is over; the default is what the programs are built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of TCP before the end that began it has acknowledged.
    pub tcp_opening: u64,
    /// Of TCP from then on.
    pub tcp_established: u64,
    /// Of TCP that is closed both ways, or reset.
    pub tcp_closed: u64,
    /// Of every other protocol.
    pub other: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            tcp_opening: 60_000_000_000,
            tcp_established: 7_200_000_000_000,
            tcp_closed: 10_000_000_000,
            other: 60_000_000_000,
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Index of [`Self::packets`] and the other pairs for packets to the pod.
    pub const INGRESS: usize = 0;
    /// Index of the pairs for packets from the pod.
    pub const EGRESS: usize = 1;

    /// Whether it is over at a moment of the kernel's clock: the programs take no packet for one of an entry that is.
    pub fn is_over(&self, protocol: u8, now: u64, lifetimes: &Lifetimes) -> bool {
        // the programs' clock ticks, so that an entry may be newer than `now`
        now.saturating_sub(self.last_seen) > self.lifetime(protocol, lifetimes)
    }

    fn lifetime(&self, protocol: u8, lifetimes: &Lifetimes) -> u64 {
        let [ingress, egress] = self.flags_seen;
        let beginner = if self.origin == Direction::Egress.number() { egress } else { ingress };
        if protocol != TCP {
            lifetimes.other
        } else if (ingress | egress) & RST != 0 || ingress & egress & FIN != 0 {
            lifetimes.tcp_closed
        } else if beginner & ACK != 0 {
            lifetimes.tcp_established
        } else {
            lifetimes.tcp_opening
        }
    }
}

/// Key of map `fragments`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct FragmentKey {
    /// The pod's address.
    pub local: [u8; 16],
    /// The peer's address.
    pub remote: [u8; 16],
    /// The datagram's identification.
    pub id: u32,
    /// The interface.
    pub ifindex: u32,
    /// IP protocol number; IPv6: 0, since only the first fragment tells it.
    pub protocol: u8,
    /// A [`Direction`](super::Direction).
    pub direction: u8,
    /// Zero.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<FragmentKey>() == 44);

/// Value of map `fragments`: what the first fragment of a datagram said.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Fragment {
    /// As in [`ConnectionKey`].
    pub local_port: u16,
    /// As in [`ConnectionKey`].
    pub remote_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 0 where the protocol is not ICMP.
    pub icmp_type: u8,
    /// Zero.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<Fragment>() == 8);

/// Key of map `limits`: what shares a token bucket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct LimitKey {
    /// The peer's address.
    pub peer: [u8; 16],
    /// The interface.
    pub ifindex: u32,
    /// Network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Direction`](super::Direction).
    pub direction: u8,
}

const _: () = assert!(size_of::<LimitKey>() == 24);

/// Value of map `limits`: a token bucket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Limit {
    /// When tokens were last added.
    pub refilled_at: u64,
    /// Tokens left.
    pub tokens: u32,
    /// Events left out since the last one that was sent.
    pub suppressed: u32,
}

const _: () = assert!(size_of::<Limit>() == 16);
