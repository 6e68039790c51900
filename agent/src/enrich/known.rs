//! What was found out about ends and decisions, in the ring's numbers: for as long as these and the facts behind them
//! stay as they are.
//!
//! A workload chooses the addresses that are remembered here: the hash has a seed of its own, and what is remembered
//! is bounded.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::attributions::Decision;
use super::ends::End;
use crate::ring::{EndpointId, InterfaceId, PoliciesId, ServiceId};

/// Ends, and decisions, that are remembered; beyond that they are found out anew.
const MAX_KNOWN: usize = 65_536;

/// Ends and decisions.
#[derive(Debug, Default)]
pub struct Known {
    ends: HashMap<EndKey, KnownEnd, RandomState>,
    decisions: HashMap<DecisionKey, KnownDecision, RandomState>,
}

/// What an end is, in the ring's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownEnd {
    /// Who it is.
    pub endpoint: EndpointId,
    /// The service that its address belongs to.
    pub service: Option<ServiceId>,
    /// The interface, of the local end.
    pub interface: Option<InterfaceId>,
    /// The first moment of the kernel's clock of which this is true; `u64::MAX` for none but the one asked about.
    pub since_ns: u64,
}

/// Who made a decision, in the ring's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDecision {
    /// `None` if nobody is to be named.
    pub policies: Option<PoliciesId>,
}

/// All that an end depends on beside the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EndKey([u64; 4]);

/// All that an attribution depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DecisionKey([u64; 3]);

// === impl Known ===

impl Known {
    /// Forgets all, because numbers or the facts behind them have changed.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.decisions.clear();
    }

    /// What an end is at a moment of the kernel's clock.
    #[inline]
    pub fn end(&self, end: &End, monotonic_ns: u64) -> Option<KnownEnd> {
        self.ends.get(&EndKey::of(end)).filter(|known| monotonic_ns >= known.since_ns).copied()
    }

    /// Remembers what an end is.
    pub fn learn_end(&mut self, end: &End, known: KnownEnd) {
        if known.since_ns < u64::MAX {
            make_room(&mut self.ends);
            self.ends.insert(EndKey::of(end), known);
        }
    }

    /// Who made a decision.
    #[inline]
    pub fn decision(&self, decision: &Decision) -> Option<KnownDecision> {
        self.decisions.get(&DecisionKey::of(decision)).copied()
    }

    /// Remembers who made a decision.
    pub fn learn_decision(&mut self, decision: &Decision, known: KnownDecision) {
        make_room(&mut self.decisions);
        self.decisions.insert(DecisionKey::of(decision), known);
    }
}

fn make_room<K, V, S>(known: &mut HashMap<K, V, S>) {
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
}

// === impl EndKey ===

impl EndKey {
    #[inline]
    fn of(end: &End) -> Self {
        let End { address, internal_identity, class, local, masked } = *end;
        let (family, bits) = match address {
            IpAddr::V4(address) => (4, address.to_bits().into()),
            IpAddr::V6(address) => (6, address.to_bits()),
        };
        let [high, low] = words(bits);
        let (is_local, place, id) = local.map_or((0, class, 0), |local| (1, local.ifindex, local.id));
        let kind = family | is_local << 8 | u64::from(masked) << 9;
        Self([high, low, pair(internal_identity, place), u64::from(id) << 32 | kind])
    }
}

impl Hash for EndKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|word| state.write_u64(*word));
    }
}

// === impl DecisionKey ===

impl DecisionKey {
    #[inline]
    fn of(decision: &Decision) -> Self {
        let Decision { endpoint, policy_set, revision, direction, verdict, rule_set, class_rule_set } =
            *decision;
        let kind = u64::from(direction as u8) << 8 | u64::from(verdict as u8);
        Self([pair(policy_set, revision), pair(rule_set, class_rule_set), u64::from(endpoint) << 32 | kind])
    }
}

impl Hash for DecisionKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|word| state.write_u64(*word));
    }
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn words(bits: u128) -> [u64; 2] {
    let bytes = bits.to_ne_bytes();
    let (first, second) = bytes.split_at(8);
    [first, second].map(|half| u64::from_ne_bytes(half.try_into().expect("invariant: half of 16 bytes")))
}
