//! UUIDs that are computed instead of stored.
//!
//! A UUID of version 4 has 122 free bits. Here they are a run number of 58 bits, drawn at random, and the flow's
//! number of 64 bits, mixed by a keyed permutation (a Feistel network over two halves of 61 bits): they look random,
//! never repeat within a run, and lead back to the flow.
//!
//! A flow's number is its sequence number in the ring, plus the number of the ring's first flow. That is 0, unless the
//! ring goes on where an earlier agent's ended: then it has that one's keys and run, and its numbers go on.

use std::hash::{BuildHasher, RandomState};

const HALF_BITS: u32 = 61;
const HALF: u64 = (1 << HALF_BITS) - 1;
const RUN: u64 = (1 << 58) - 1;
const VERSION: u128 = 0x4 << 76;
const VARIANT: u128 = 0b10 << 62;
/// The version nibble and the variant bits.
const FIXED: u128 = 0xf << 76 | 0b11 << 62;

/// The two-way map between the flows of one ring and their UUIDs.
#[derive(Debug, Clone)]
pub struct FlowUuids {
    run: UuidRun,
    /// The number of the flow with the sequence number 0.
    first: u64,
}

/// What makes the UUIDs of one run differ from all others'. Flows share it from a clean stop to the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UuidRun {
    pub(super) keys: [u64; 6],
    /// Of 58 bits.
    pub(super) number: u64,
}

// === impl FlowUuids ===

impl FlowUuids {
    /// With a key and a run number that the operating system drew.
    pub fn random() -> Self {
        let random = RandomState::new();
        let keys = [0, 1, 2, 3, 4, 5].map(|n: u64| random.hash_one(n));
        Self::new(UuidRun::new(keys, random.hash_one(6_u64)), 0)
    }

    /// Those of a run, from the flow with the number `first` on.
    pub const fn new(run: UuidRun, first: u64) -> Self {
        Self { run, first }
    }

    /// The run.
    pub const fn run(&self) -> UuidRun {
        self.run
    }

    /// The number of a flow, by its sequence number in the ring.
    pub const fn number(&self, sequence: u64) -> u64 {
        self.first.wrapping_add(sequence)
    }

    /// The UUID of a flow.
    pub fn of(&self, sequence: u64) -> u128 {
        let UuidRun { keys, number } = self.run;
        let whole = u128::from(number) << 64 | u128::from(self.number(sequence));
        let (mut left, mut right) = halves(whole);
        for key in keys {
            (left, right) = (right, left ^ round(right, key));
        }
        spread(u128::from(left) << HALF_BITS | u128::from(right))
    }

    /// The flow of a UUID; `None` if this ring never had it and never will.
    pub fn sequence(&self, uuid: u128) -> Option<u64> {
        if uuid & FIXED != VERSION | VARIANT {
            return None;
        }
        let (mut left, mut right) = halves(gather(uuid));
        for key in self.run.keys.into_iter().rev() {
            (left, right) = (right ^ round(left, key), left);
        }
        let whole = u128::from(left) << HALF_BITS | u128::from(right);
        let number = (whole >> 64 == u128::from(self.run.number)).then(|| low(whole, u64::MAX))?;
        number.checked_sub(self.first)
    }
}

// === impl UuidRun ===

impl UuidRun {
    /// A run; of its number 58 bits count.
    pub const fn new(keys: [u64; 6], number: u64) -> Self {
        Self { keys, number: number & RUN }
    }
}

fn halves(whole: u128) -> (u64, u64) {
    (low(whole >> HALF_BITS, HALF), low(whole, HALF))
}

fn low(bits: u128, mask: u64) -> u64 {
    u64::try_from(bits & u128::from(mask)).expect("invariant: masked to 64 bits at most")
}

/// A keyed mix of a half: two multiplications with shifts between them.
fn round(half: u64, key: u64) -> u64 {
    let mut mixed = half ^ key;
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)) & HALF
}

/// 122 bits → a UUID: 48 bits, version, 12 bits, variant, 62 bits.
fn spread(bits: u128) -> u128 {
    let low = bits & ((1 << 62) - 1);
    let middle = bits >> 62 & 0xfff;
    let high = bits >> 74;
    high << 80 | VERSION | middle << 64 | VARIANT | low
}

/// The 122 free bits of a UUID.
fn gather(uuid: u128) -> u128 {
    let low = uuid & ((1 << 62) - 1);
    let middle = uuid >> 64 & 0xfff;
    let high = uuid >> 80;
    high << 74 | middle << 62 | low
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_uuid_leads_back_to_its_flow_and_is_of_version_4(
            keys: [u64; 6], run: u64, first in 0_u64..u64::MAX / 2, sequence in 0_u64..u64::MAX / 2
        ) {
            let uuids = FlowUuids::new(UuidRun::new(keys, run), first);
            let uuid = uuids.of(sequence);
            prop_assert_eq!(uuids.sequence(uuid), Some(sequence));
            prop_assert_eq!(uuid >> 76 & 0xf, 4);
            prop_assert_eq!(uuid >> 62 & 0b11, 0b10);
        }

        #[test]
        fn a_uuid_of_another_making_leads_nowhere(uuid: u128, keys: [u64; 6], run: u64) {
            // by chance once in 2^64
            prop_assert_eq!(FlowUuids::new(UuidRun::new(keys, run), 0).sequence(uuid), None);
        }
    }

    #[test]
    fn uuids_of_neighbours_differ_in_about_half_of_their_bits() {
        let uuids = FlowUuids::new(UuidRun::new([3, 1, 4, 1, 5, 9], 26), 0);
        let all: Vec<u128> = (0..4_096).map(|sequence| uuids.of(sequence)).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let bits: u32 = all.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
        let mean = f64::from(bits) / 4_095.0;
        assert!((59.0..63.0).contains(&mean), "{mean}");
    }

    #[test]
    fn a_ring_that_goes_on_knows_the_uuids_of_the_flows_it_has_and_not_those_before() {
        let before = FlowUuids::random();
        let after = FlowUuids::new(before.run(), 1_000);
        assert_eq!(after.of(0), before.of(1_000));
        assert_eq!(after.sequence(before.of(1_234)), Some(234));
        assert_eq!(after.sequence(before.of(999)), None);
    }

    #[test]
    fn two_runs_share_no_uuid() {
        let (one, two) = (FlowUuids::random(), FlowUuids::random());
        for sequence in 0..1_000 {
            assert_eq!(two.sequence(one.of(sequence)), None);
        }
    }
}
