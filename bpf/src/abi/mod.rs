//! The Rust mirror of `c/abi.h`: what the BPF programs and user space share. `tests/abi.rs` compares every size, field,
//! offset and number here with the BTF of the built object.
//!
//! Addresses are 16 bytes, IPv4 mapped into IPv6. Ports are in network order ([`u16::from_be`] reads them). Times are
//! nanoseconds of `CLOCK_MONOTONIC`.

mod address;
mod connection;
mod counter;
mod endpoint;
mod event;
mod policy;
mod rule;

pub use address::{ADDRESS_NODE, ADDRESS_SERVICE, Address, CidrKey, NodePort};
pub use connection::{
    CONNECTION_AUDITED, CONNECTION_DENIED, CONNECTION_MASKED, CONNECTION_UNORIENTED, Connection,
    ConnectionKey, Fragment, FragmentKey, Lifetimes, Limit, LimitKey,
};
pub use counter::{COUNTERS, Counter};
pub use endpoint::{ENDPOINTS_DENSE, Endpoint, Mode, Settings};
pub use event::{
    DROP_EXTENSION_HEADERS, DROP_INVALID_PACKET, DROP_INVALID_SOURCE, DROP_POLICY_DENIED, EVENT_FOREIGN,
    EVENT_SOURCE_MASKED, Event, EventKind, InvalidEvent, MatchType, Place, Point, State, Verdict,
};
pub use policy::{
    POLICY_CHECK_SOURCE, POLICY_ENFORCED, POLICY_ISOLATED_EGRESS, POLICY_ISOLATED_INGRESS, PolicyWord,
};
pub use rule::{
    DIRECTION_SERVICE, IDENTITY_ANY, IDENTITY_HOST, IDENTITY_UNMANAGED, IDENTITY_WORLD, PEER_CLASS,
    RULE_PREFIX_PEER, RULE_PREFIX_PORT, RULE_PREFIX_PROTOCOL, RULES_LATER, Rule, RuleKey,
};

/// `PALOMAR_ABI_VERSION`: raised with every change of a layout or of a meaning. Pinned maps live under it, and every
/// event carries it.
pub const ABI_VERSION: u8 = 6;

/// Declares an enum whose numbers are those of `abi.h`, with a checked conversion from the number.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident: $number:ty { $($(#[$variant_doc:meta])* $variant:ident = $value:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($number)]
        pub enum $name { $($(#[$variant_doc])* $variant = $value,)+ }

        impl $name {
            /// Every value, in the order of the numbers' declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The number that stands in `abi.h`.
            pub const fn number(self) -> $number {
                self as $number
            }
        }

        impl TryFrom<$number> for $name {
            type Error = $number;

            /// Fails with the number itself where no value has it.
            fn try_from(number: $number) -> Result<Self, $number> {
                Self::ALL.iter().copied().find(|value| value.number() == number).ok_or(number)
            }
        }
    };
}
pub(crate) use numbered;

numbered! {
    /// A direction as the pod sees it; the numbers are Hubble's.
    Direction: u8 {
        /// To the pod: egress of the host's end of its veth.
        Ingress = 1,
        /// From the pod: ingress of the host's end of its veth.
        Egress = 2,
    }
}

/// An address as the maps hold it: IPv4 mapped into IPv6.
pub fn address_bytes(address: std::net::IpAddr) -> [u8; 16] {
    match address {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(v6) => v6.octets(),
    }
}

/// What [`address_bytes`] made; a mapped address comes back as IPv4.
pub fn address_from_bytes(bytes: [u8; 16]) -> std::net::IpAddr {
    std::net::Ipv6Addr::from(bytes).to_canonical()
}
