//! The records of the ring buffer `events`.

use super::{ABI_VERSION, PolicyWord, numbered};
use bytemuck::{Pod, Zeroable};

/// [`Event::detail`] of a drop: the source address is not the endpoint's.
pub const DROP_INVALID_SOURCE: u8 = 132;
/// [`Event::detail`] of a drop: policy denied it.
pub const DROP_POLICY_DENIED: u8 = 133;
/// [`Event::detail`] of a drop: headers cut off or malformed.
pub const DROP_INVALID_PACKET: u8 = 134;
/// [`Event::detail`] of a drop: IPv6 extension headers cut off, or more of them than are looked at.
pub const DROP_EXTENSION_HEADERS: u8 = 156;
/// Flag of [`Event`]: a forwarded packet from a node address, or from the pod's own, so the real source is hidden.
pub const EVENT_SOURCE_MASKED: u8 = 1 << 0;
/// Flag of [`Event`]: dropped by somebody else in the kernel, not by our programs.
pub const EVENT_FOREIGN: u8 = 1 << 1;

numbered! {
    /// What an event tells; Hubble's numbers.
    EventKind: u8 {
        /// A packet was dropped; `detail` is the drop code.
        Drop = 1,
        /// A packet passed; `detail` is a [`Point`].
        Trace = 4,
        /// A connection was judged; `detail` is a [`MatchType`].
        PolicyVerdict = 5,
    }
}

numbered! {
    /// The fate of the packet; Hubble's numbers.
    Verdict: u8 {
        /// It passed.
        Forwarded = 1,
        /// It was dropped.
        Dropped = 2,
        /// It passed although policy denies it.
        Audit = 4,
    }
}

numbered! {
    /// Where a trace event saw the packet; Hubble's numbers.
    Point: u8 {
        /// Delivered to a local pod.
        ToEndpoint = 0,
        /// Handed by a pod to the node's stack.
        ToStack = 3,
        /// Left a pod for another local pod as a connection's first packet: its delivery or a drop is to follow.
        FromEndpoint = 5,
    }
}

numbered! {
    /// What the packet is to its connection.
    State: u8 {
        /// Cannot be told, as in mid-connection.
        Unknown = 0,
        /// The first packet.
        New = 1,
        /// From the end that began.
        Established = 2,
        /// From the other end.
        Reply = 3,
        /// An ICMP error about the connection.
        Related = 4,
    }
}

numbered! {
    /// Which kind of rule decided; Hubble's numbers.
    MatchType: u8 {
        /// None: the endpoint is isolated and nothing allows.
        None = 0,
        /// The peer, any port.
        L3Only = 1,
        /// The peer and the port.
        L3L4 = 2,
        /// Any peer, the port.
        L4Only = 3,
        /// Any peer, any port.
        All = 4,
        /// The peer and the protocol.
        L3Proto = 5,
        /// Any peer, the protocol.
        ProtoOnly = 6,
    }
}

/// One record, as the kernel wrote it; [`Event::read`] has checked version and kind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Event {
    /// When the packet was seen.
    pub time: u64,
    /// [`ABI_VERSION`].
    pub version: u8,
    /// An [`EventKind`].
    pub kind: u8,
    /// Drop: drop code, 0 with [`EVENT_FOREIGN`]; trace: [`Point`]; policy verdict: [`MatchType`].
    pub detail: u8,
    /// A [`Verdict`].
    pub verdict: u8,
    /// A [`Direction`](super::Direction).
    pub direction: u8,
    /// A [`State`].
    pub state: u8,
    /// 4 or 6.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Network order; 0 where the protocol has none or a fragment hides it.
    pub source_port: u16,
    /// As `source_port`.
    pub destination_port: u16,
    /// TCP flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// ICMP type; 0 for other protocols.
    pub icmp_type: u8,
    /// ICMP code; 0 for other protocols.
    pub icmp_code: u8,
    /// [`EVENT_SOURCE_MASKED`], [`EVENT_FOREIGN`] or 0.
    pub flags: u8,
    /// Internal identity of the source.
    pub source_identity: u32,
    /// Internal identity of the destination.
    pub destination_identity: u32,
    /// The interface.
    pub ifindex: u32,
    /// [`Endpoint::id`](super::Endpoint::id) of the interface.
    pub endpoint: u32,
    /// The endpoint's policy that was in force. With [`EVENT_FOREIGN`] the address in the kernel that dropped it.
    pub policy: PolicyWord,
    /// Rules that allowed by identity or from any peer; 0: none. With [`EVENT_FOREIGN`] the kernel's reason.
    pub rule_set: u32,
    /// Rules that allowed by CIDR class; 0: none.
    pub class_rule_set: u32,
    /// Events of this kind left out by the rate limit since the last one for this peer and port.
    pub suppressed: u32,
    /// CIDR class of the peer; 0: none.
    pub class: u32,
    /// Packets of the connection in this direction, this one included; 0 where there is no entry.
    pub packets: u64,
    /// Bytes, as `packets`.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Event>() == 112);

/// Value of map `places`: the function at an address in the kernel, ended by a zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Place {
    /// Its name; cut where it is longer.
    pub name: [u8; 64],
}

/// Why a record of the ring is not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// Fewer bytes than an event has.
    #[error("event of {length} bytes, {} are needed", size_of::<Event>())]
    Truncated {
        /// The record's length in bytes.
        length: usize,
    },
    /// Written by programs of another ABI.
    #[error("event of ABI version {version}, this agent reads {ABI_VERSION}")]
    Version {
        /// The record's version.
        version: u8,
    },
    /// A kind that this ABI does not have.
    #[error("event of unknown kind {kind} (known: 1 drop, 4 trace, 5 policy verdict)")]
    Kind {
        /// The record's kind.
        kind: u8,
    },
}

// === impl Event ===

impl Event {
    /// Reads a record. Bytes after the event are padding and ignored; the other fields' numbers are not judged here.
    pub fn read(record: &[u8]) -> Result<Self, InvalidEvent> {
        let bytes =
            record.get(..size_of::<Self>()).ok_or(InvalidEvent::Truncated { length: record.len() })?;
        let event: Self = bytemuck::pod_read_unaligned(bytes);
        if event.version != ABI_VERSION {
            return Err(InvalidEvent::Version { version: event.version });
        }
        EventKind::try_from(event.kind).map_err(|kind| InvalidEvent::Kind { kind })?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Event {
        Event { version: ABI_VERSION, kind: EventKind::Trace.number(), bytes: 7, ..Event::default() }
    }

    #[test]
    fn a_whole_event_is_read_at_any_alignment() {
        let mut bytes = vec![0xff];
        bytes.extend_from_slice(bytemuck::bytes_of(&sample()));
        assert_eq!(Event::read(&bytes[1..]), Ok(sample()));
    }

    #[test]
    fn bytes_after_the_event_are_ignored() {
        let mut bytes = bytemuck::bytes_of(&sample()).to_vec();
        bytes.extend_from_slice(&[9; 8]);
        assert_eq!(Event::read(&bytes), Ok(sample()));
    }

    #[test]
    fn what_is_no_event_is_named() {
        let whole = bytemuck::bytes_of(&sample()).to_vec();
        assert_eq!(Event::read(&whole[..111]), Err(InvalidEvent::Truncated { length: 111 }));
        assert_eq!(Event::read(&[]), Err(InvalidEvent::Truncated { length: 0 }));
        let other = Event { version: ABI_VERSION + 1, ..sample() };
        assert_eq!(
            Event::read(bytemuck::bytes_of(&other)),
            Err(InvalidEvent::Version { version: ABI_VERSION + 1 })
        );
        for kind in [0, 2, 3, 6, 255] {
            let other = Event { kind, ..sample() };
            assert_eq!(Event::read(bytemuck::bytes_of(&other)), Err(InvalidEvent::Kind { kind }));
        }
    }
}
