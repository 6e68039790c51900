//! What part of a peer's traffic an entry speaks of: protocols and ports as prefixes, as the kernel's longest
//! prefix match wants them.
//!
//! ```text
//! set 32 | peer 32 | direction 8 | protocol 8 | port 16
//! ├──────── Everything: 72 ──────┤            ┆
//! ├──────────── Protocol: 80 ─────────────────┤
//! ├──────────── Ports: 80 + length ───────────────┄┄┄┤
//! ```

use std::collections::BTreeSet;

use palomar_model::netpol::{PortRule, Ports};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;

/// Protocols and ports. The order puts a scope after every scope that covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every protocol, those without ports included.
    Everything,
    /// Every port of a protocol, and its packets whose port is not known.
    Protocol(Protocol),
    /// Some ports of a protocol.
    Ports(Protocol, PortPrefix),
}

/// The ports that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPrefix {
    port: u16,
    length: u8,
}

impl Scope {
    /// Bits of the kernel's key for [`Scope::Everything`]: `RULE_PREFIX_PEER`.
    pub const PEER_BITS: u8 = 72;
    /// Bits of the kernel's key for [`Scope::Protocol`]: `RULE_PREFIX_PROTOCOL`.
    pub const PROTOCOL_BITS: u8 = 80;
    /// Bits of the kernel's key for a single port: `RULE_PREFIX_PORT`.
    pub const PORT_BITS: u8 = 96;

    /// Length of the kernel's key in bits: 72, 80 or 81 to 96.
    pub const fn prefix_bits(self) -> u8 {
        match self {
            Self::Everything => Self::PEER_BITS,
            Self::Protocol(_) => Self::PROTOCOL_BITS,
            Self::Ports(_, prefix) => Self::PROTOCOL_BITS + prefix.length,
        }
    }

    /// The protocol number of the kernel's key; 0 for [`Scope::Everything`].
    pub const fn protocol_number(self) -> u8 {
        match self {
            Self::Everything => 0,
            Self::Protocol(protocol) | Self::Ports(protocol, _) => protocol.number(),
        }
    }

    /// The port of the kernel's key in host order, bits beyond the prefix cleared; 0 where it has none.
    pub const fn port(self) -> u16 {
        match self {
            Self::Everything | Self::Protocol(_) => 0,
            Self::Ports(_, prefix) => prefix.port,
        }
    }

    /// The scopes that cover this one, itself last; most general first.
    pub fn covering(self) -> impl Iterator<Item = Self> {
        let protocol = match self {
            Self::Everything => None,
            Self::Protocol(protocol) | Self::Ports(protocol, _) => Some(protocol),
        };
        let ports = match self {
            Self::Everything | Self::Protocol(_) => None,
            Self::Ports(protocol, prefix) => Some((protocol, prefix)),
        };
        std::iter::once(Self::Everything).chain(protocol.map(Self::Protocol)).chain(
            ports.into_iter().flat_map(|(protocol, prefix)| {
                (1..=prefix.length)
                    .map(move |length| Self::Ports(protocol, PortPrefix::new(prefix.port, length)))
            }),
        )
    }

    /// Whether every packet of `other` is a packet of this scope.
    pub fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Protocol(own), Self::Protocol(its) | Self::Ports(its, _)) => own == its,
            (Self::Ports(own, prefix), Self::Ports(its, inner)) => own == its && prefix.covers(inner),
            (Self::Protocol(_), Self::Everything)
            | (Self::Ports(..), Self::Everything | Self::Protocol(_)) => false,
        }
    }

    /// The scopes of one rule's `ports` for one pod that is connected to, by its named ports: the fewest that hold
    /// exactly those packets. Empty `ports` are every port of every protocol.
    pub fn of_rule(ports: &[PortRule], named: &NamedPorts) -> Vec<Self> {
        if ports.is_empty() {
            return vec![Self::Everything];
        }
        let protocols: BTreeSet<Protocol> = ports.iter().map(|rule| rule.protocol).collect();
        protocols.into_iter().flat_map(|protocol| Self::of_protocol(protocol, ports, named)).collect()
    }

    /// What the names in one rule's `ports` add for a pod to what the rule says without them.
    pub fn of_names(ports: &[PortRule], named: &NamedPorts) -> Vec<Self> {
        let nobody = NamedPorts::default();
        let mut added = Vec::new();
        for rule in ports {
            let Ports::Named(name) = &rule.ports else { continue };
            let protocol = rule.protocol;
            let is_new =
                |number: &u16| !ports.iter().any(|rule| rule.matches(protocol, Some(*number), &nobody));
            let numbers = named.numbers(name, protocol).filter(is_new);
            added.extend(numbers.map(|number| PortRule { protocol, ports: Ports::Range(number, number) }));
        }
        if added.is_empty() { Vec::new() } else { Self::of_rule(&added, &nobody) }
    }

    fn of_protocol(protocol: Protocol, ports: &[PortRule], named: &NamedPorts) -> Vec<Self> {
        let mut ranges = Vec::new();
        for rule in ports.iter().filter(|rule| rule.protocol == protocol) {
            match &rule.ports {
                Ports::Every => return vec![Self::Protocol(protocol)],
                Ports::Range(first, last) => ranges.push((*first, *last)),
                Ports::Named(name) => {
                    ranges.extend(named.numbers(name, protocol).map(|number| (number, number)));
                }
            }
        }
        // Nobody can write port 0 in a policy; a prefix that held it would hold a port that nobody meant.
        for (first, _) in &mut ranges {
            *first = (*first).max(1);
        }
        ranges.sort_unstable();
        merge(ranges)
            .into_iter()
            .flat_map(|(first, last)| PortPrefix::of_range(first, last))
            .map(|prefix| Self::Ports(protocol, prefix))
            .collect()
    }
}

/// Sorted ranges, those that overlap or touch made one.
fn merge(sorted: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

// === impl PortPrefix ===

impl PortPrefix {
    /// The ports that share the first `length` bits of `port`; `length` 1 to 16, greater counts as 16 and 0 as 1:
    /// every port of a protocol is [`Scope::Protocol`].
    pub const fn new(port: u16, length: u8) -> Self {
        let length = if length > 16 {
            16
        } else if length == 0 {
            1
        } else {
            length
        };
        Self { port: port & (u16::MAX << (16 - length)), length }
    }

    /// The least port.
    pub const fn first(self) -> u16 {
        self.port
    }

    /// The greatest port.
    pub const fn last(self) -> u16 {
        self.port | !(u16::MAX << (16 - self.length))
    }

    /// How many leading bits of the port count: 1 to 16.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether every port of `other` is one of this prefix.
    pub const fn covers(self, other: Self) -> bool {
        self.first() <= other.first() && other.last() <= self.last()
    }

    /// The fewest prefixes that hold exactly the ports `first..=last`, ascending; none if `first > last`. At most
    /// 30.
    pub fn of_range(first: u16, last: u16) -> Vec<Self> {
        let mut prefixes = Vec::new();
        let mut next = Some(first).filter(|first| *first <= last);
        while let Some(port) = next {
            let alone = Self::new(port, 16);
            let wider = (1..16).map(|length| Self::new(port, length));
            let widest = wider
                .into_iter()
                .find(|prefix| prefix.first() == port && prefix.last() <= last)
                .unwrap_or(alone);
            prefixes.push(widest);
            next = widest.last().checked_add(1).filter(|port| *port <= last);
        }
        prefixes
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::ports::NamedPort;
    use proptest::prelude::*;

    use super::*;

    fn tcp(ports: Ports) -> PortRule {
        PortRule { protocol: Protocol::Tcp, ports }
    }

    fn range(first: u16, last: u16) -> PortRule {
        tcp(Ports::Range(first, last))
    }

    fn named(name: &str) -> PortRule {
        tcp(Ports::Named(name.into()))
    }

    /// A pod whose name `http` stands for two ports of TCP.
    fn pod() -> NamedPorts {
        let port = |protocol, number| NamedPort { name: "http".into(), protocol, number };
        NamedPorts::new(vec![port(Protocol::Tcp, 80), port(Protocol::Tcp, 90), port(Protocol::Udp, 7)])
    }

    fn shown(scopes: Vec<Scope>) -> Vec<String> {
        scopes
            .into_iter()
            .map(|scope| match scope {
                Scope::Everything => "everything".into(),
                Scope::Protocol(protocol) => protocol.to_string(),
                Scope::Ports(protocol, prefix) => format!("{protocol} {}-{}", prefix.first(), prefix.last()),
            })
            .collect()
    }

    #[test]
    fn a_rules_ports_become_the_fewest_scopes() {
        let udp = PortRule { protocol: Protocol::Udp, ports: Ports::Every };
        let table: [(&str, Vec<PortRule>, &[&str]); 11] = [
            ("no ports", vec![], &["everything"]),
            ("a protocol", vec![tcp(Ports::Every)], &["TCP"]),
            ("one port", vec![range(80, 80)], &["TCP 80-80"]),
            ("a port twice", vec![range(80, 80), range(80, 80)], &["TCP 80-80"]),
            ("ports that touch", vec![range(81, 81), range(80, 80)], &["TCP 80-81"]),
            ("a port within its protocol", vec![range(80, 80), tcp(Ports::Every)], &["TCP"]),
            ("two protocols", vec![udp, range(80, 80)], &["TCP 80-80", "UDP"]),
            ("a range that holds another", vec![range(0, 3), range(2, 2)], &["TCP 1-1", "TCP 2-3"]),
            ("a name", vec![named("http")], &["TCP 80-80", "TCP 90-90"]),
            ("a name that the pod does not have", vec![named("https")], &[]),
            (
                "a name and the port that it stands for",
                vec![named("http"), range(80, 80)],
                &["TCP 80-80", "TCP 90-90"],
            ),
        ];
        for (name, ports, expected) in table {
            assert_eq!(shown(Scope::of_rule(&ports, &pod())), expected, "{name}");
        }
    }

    #[test]
    fn names_add_what_the_numbers_do_not_say() {
        let table: [(&str, Vec<PortRule>, &[&str]); 5] = [
            ("no ports", vec![], &[]),
            ("a name alone", vec![named("http")], &["TCP 80-80", "TCP 90-90"]),
            ("a name and one of its ports", vec![named("http"), range(1, 80)], &["TCP 90-90"]),
            ("a name and every port", vec![named("http"), tcp(Ports::Every)], &[]),
            ("a name that the pod does not have", vec![named("https"), range(1, 80)], &[]),
        ];
        for (name, ports, expected) in table {
            assert_eq!(shown(Scope::of_names(&ports, &pod())), expected, "{name}");
        }
    }

    #[test]
    fn ranges_at_the_edges_of_the_port_space_are_exact() {
        for (first, last, count) in
            [(1, 65_535, 16), (65_535, 65_535, 1), (1, 1, 1), (1, 65_534, 30), (32_768, 65_535, 1), (9, 8, 0)]
        {
            let prefixes = PortPrefix::of_range(first, last);
            assert_eq!(prefixes.len(), count, "{first}-{last}");
            let ports = prefixes.iter().flat_map(|prefix| prefix.first()..=prefix.last());
            assert!(ports.eq(first..=last), "{first}-{last}");
        }
    }

    #[test]
    fn scopes_are_covered_by_themselves_and_by_what_is_shorter() {
        let scope = Scope::Ports(Protocol::Tcp, PortPrefix::new(80, 16));
        let covering: Vec<_> = scope.covering().collect();
        let bits: Vec<_> = covering.iter().map(|scope| scope.prefix_bits()).collect();
        assert_eq!(bits, [&[72], &(80..=96).collect::<Vec<_>>()[..]].concat());
        assert!(covering.iter().all(|covering| covering.covers(scope)));
        assert!(covering.is_sorted(), "a scope follows those that cover it");
        assert!(!Scope::Protocol(Protocol::Udp).covers(scope));
        assert!(!scope.covers(Scope::Protocol(Protocol::Tcp)));
    }

    proptest! {
        #[test]
        fn a_range_is_exactly_its_prefixes_in_order(one: u16, other: u16) {
            let (first, last) = (one.min(other), one.max(other));
            let mut next = u32::from(first);
            for prefix in PortPrefix::of_range(first, last) {
                prop_assert_eq!(u32::from(prefix.first()), next);
                next = u32::from(prefix.last()) + 1;
            }
            prop_assert_eq!(next, u32::from(last) + 1);
        }
    }
}
