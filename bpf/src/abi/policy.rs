//! The word that says, of an endpoint, which policy holds.

use bytemuck::{Pod, Zeroable};

/// Flag of [`PolicyWord`]: some policy isolates the endpoint for packets to it.
pub const POLICY_ISOLATED_INGRESS: u8 = 1 << 0;
/// Flag of [`PolicyWord`]: some policy isolates the endpoint for packets from it.
pub const POLICY_ISOLATED_EGRESS: u8 = 1 << 1;
/// Flag of [`PolicyWord`]: denied packets of this endpoint are dropped while the mode is enforce.
pub const POLICY_ENFORCED: u8 = 1 << 2;
/// Flag of [`PolicyWord`]: the endpoint is a pod whose addresses are known, so source addresses are judged.
pub const POLICY_CHECK_SOURCE: u8 = 1 << 3;

const SET_SHIFT: u32 = 32;
const FLAGS_SHIFT: u32 = 56;

/// Revision (bits 0–31), policy set (32–55) and flags (56–63), stored into an endpoint at once. The default is revision
/// 0, set 0, nothing isolated.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Pod, Zeroable)]
pub struct PolicyWord(pub u64);

const _: () = assert!(size_of::<PolicyWord>() == 8);

impl PolicyWord {
    /// The greatest policy set number that fits.
    pub const MAX_SET: u32 = 0x00ff_ffff;

    /// Composes a word; `None` where `set` is above [`Self::MAX_SET`].
    pub const fn new(set: u32, revision: u32, flags: u8) -> Option<Self> {
        if set > Self::MAX_SET {
            return None;
        }
        Some(Self((flags as u64) << FLAGS_SHIFT | (set as u64) << SET_SHIFT | revision as u64))
    }

    /// The revision of the policy.
    pub fn revision(self) -> u32 {
        let [_, _, _, _, bytes @ ..] = self.0.to_be_bytes();
        u32::from_be_bytes(bytes)
    }

    /// The policy set under which the rules are keyed.
    pub fn set(self) -> u32 {
        let [_, high, middle, low, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([0, high, middle, low])
    }

    /// The `POLICY_*` flags.
    pub fn flags(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_its_parts() {
        for (set, revision, flags) in
            [(0, 0, 0), (1, 2, POLICY_ENFORCED), (PolicyWord::MAX_SET, u32::MAX, u8::MAX)]
        {
            let word = PolicyWord::new(set, revision, flags).unwrap();
            assert_eq!((word.set(), word.revision(), word.flags()), (set, revision, flags));
        }
        assert_eq!(PolicyWord::new(0x00ab_cdef, 0x1234_5678, 0x0f).unwrap().0, 0x0fab_cdef_1234_5678);
    }

    #[test]
    fn a_set_of_25_bits_is_refused() {
        assert_eq!(PolicyWord::new(PolicyWord::MAX_SET + 1, 0, 0), None);
    }
}
