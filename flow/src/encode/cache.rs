//! Parts that were written lately, found again by a number.

const SLOTS: u32 = 64;

/// One part for each slot; a number has one slot, and the last one that was asked for has it. So the memory is
/// bounded whatever is asked, and what repeats is copied.
#[derive(Debug)]
pub struct Cache(Box<[Slot]>);

#[derive(Debug, Default)]
struct Slot {
    number: Option<u32>,
    part: Vec<u8>,
}

impl Cache {
    /// The part of a number, which `write` makes if it is not there.
    pub fn part(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let at = number.wrapping_mul(0x9e37_79b9) >> (u32::BITS - SLOTS.ilog2());
        let slot = &mut self.0[at as usize];
        if slot.number != Some(number) {
            slot.number = Some(number);
            slot.part.clear();
            write(&mut slot.part);
        }
        &slot.part
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Slot::default()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_part_although_slots_are_few() {
        let mut cache = Cache::default();
        for round in 0..3 {
            for number in 0..1_000_u32 {
                let part = cache.part(number, |out| out.extend_from_slice(&number.to_le_bytes()));
                assert_eq!(part, number.to_le_bytes(), "round {round}");
            }
        }
        let mut written = 0;
        for _ in 0..10 {
            cache.part(7, |_| written += 1);
        }
        assert!(written <= 1, "a number that repeats is written once");
    }
}
