//! Facts of one packet, as the kernel parsed it.

use std::fmt;

/// An IP protocol. `Other` never holds one of the named numbers when made with [`Protocol::from_number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `ICMPv4` (1)
    Icmp,
    /// TCP (6)
    Tcp,
    /// UDP (17)
    Udp,
    /// `ICMPv6` (58)
    Icmpv6,
    /// SCTP (132)
    Sctp,
    /// Any other protocol, by its IP protocol number.
    Other(u8),
}

impl Protocol {
    /// The protocol of an IP protocol number (or the last IPv6 next-header value).
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmpv6,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }

    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmpv6 => 58,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }

    /// Whether packets of this protocol carry ports that policies and printers speak of.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icmp => f.write_str("ICMPv4"),
            Self::Tcp => f.write_str("TCP"),
            Self::Udp => f.write_str("UDP"),
            Self::Icmpv6 => f.write_str("ICMPv6"),
            Self::Sctp => f.write_str("SCTP"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// The flag byte of a TCP header; bit 0 is FIN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Acknowledgement field significant.
    pub const ACK: u8 = 0x10;
    /// Urgent pointer significant.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;

    /// Whether every bit of `mask` is set.
    pub const fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// The transport part of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP with host-order ports.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Flags of this packet.
        flags: TcpFlags,
    },
    /// UDP with host-order ports.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// SCTP with host-order ports.
    Sctp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// `ICMPv4`.
    Icmp {
        /// Message type, e.g. 8 for an echo request.
        kind: u8,
        /// Message code.
        code: u8,
    },
    /// `ICMPv6`.
    Icmpv6 {
        /// Message type, e.g. 128 for an echo request.
        kind: u8,
        /// Message code.
        code: u8,
    },
    /// A protocol whose header we do not read, by IP protocol number.
    Other(u8),
}

impl Transport {
    /// The protocol of this transport header.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp { .. } => Protocol::Tcp,
            Self::Udp { .. } => Protocol::Udp,
            Self::Sctp { .. } => Protocol::Sctp,
            Self::Icmp { .. } => Protocol::Icmp,
            Self::Icmpv6 { .. } => Protocol::Icmpv6,
            Self::Other(number) => Protocol::from_number(number),
        }
    }

    /// Source and destination port in host order; absent for protocols without ports.
    pub const fn ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Tcp { source, destination, .. }
            | Self::Udp { source, destination }
            | Self::Sctp { source, destination } => Some((source, destination)),
            Self::Icmp { .. } | Self::Icmpv6 { .. } | Self::Other(_) => None,
        }
    }
}
