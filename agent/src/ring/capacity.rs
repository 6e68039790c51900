//! How many flows a ring holds.

use std::fmt;
use std::str::FromStr;

use super::record::Record;

/// A number of flows: one less than a power of two, from 1 to [`Capacity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capacity(u64);

/// A number that is no [`Capacity`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCapacity {
    /// The text is no number.
    #[error("capacity {0:?} is not a whole number")]
    NotANumber(String),
    /// Below 1 or above [`Capacity::MAX`].
    #[error("capacity {0} is out of range: choose from 1 to {max}", max = Capacity::MAX)]
    OutOfRange(u64),
    /// Not one less than a power of two.
    #[error(
        "capacity {asked} is not one less than a power of two: the nearest valid ones are {below} and {above}"
    )]
    NotOneLessThanAPowerOfTwo {
        /// The number asked for.
        asked: u64,
        /// The greatest valid number below it.
        below: u64,
        /// The least valid number above it.
        above: u64,
    },
}

// === impl Capacity ===

impl Capacity {
    /// The default: 262,143 flows, about 22 MiB when full.
    pub const DEFAULT: Self = Self((1 << 18) - 1);
    /// The greatest: 16,777,215 flows, about 1.4 GiB when full.
    pub const MAX: Self = Self((1 << 24) - 1);

    /// The number of flows.
    pub const fn flows(self) -> u64 {
        self.0
    }

    /// Bytes of the records when the ring is full. The names that they share come on top: some hundred bytes for each
    /// distinct endpoint.
    pub const fn full_bytes(self) -> u64 {
        self.slots() * size_of::<Record>() as u64
    }

    /// The number of slots: one more, a power of two.
    pub(super) const fn slots(self) -> u64 {
        self.0 + 1
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u64> for Capacity {
    type Error = InvalidCapacity;

    fn try_from(flows: u64) -> Result<Self, InvalidCapacity> {
        if flows == 0 || flows > Self::MAX.0 {
            return Err(InvalidCapacity::OutOfRange(flows));
        }
        // the power of two above: for 4, 5 and 6 as well as for 7 that is 8
        let above = (flows + 1).next_power_of_two();
        if above == flows + 1 {
            return Ok(Self(flows));
        }
        Err(InvalidCapacity::NotOneLessThanAPowerOfTwo {
            asked: flows,
            below: above / 2 - 1,
            above: above - 1,
        })
    }
}

impl FromStr for Capacity {
    type Err = InvalidCapacity;

    fn from_str(text: &str) -> Result<Self, InvalidCapacity> {
        let flows: u64 = text.parse().map_err(|_| InvalidCapacity::NotANumber(text.to_owned()))?;
        flows.try_into()
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_less_than_a_power_of_two_is_taken_and_the_rest_is_told_its_neighbours() {
        let not =
            |asked, below, above| Err(InvalidCapacity::NotOneLessThanAPowerOfTwo { asked, below, above });
        for (asked, expected) in [
            (0, Err(InvalidCapacity::OutOfRange(0))),
            (1, Ok(Capacity(1))),
            (2, not(2, 1, 3)),
            (3, Ok(Capacity(3))),
            (4, not(4, 3, 7)),
            (5, not(5, 3, 7)),
            (6, not(6, 3, 7)),
            (4_095, Ok(Capacity(4_095))),
            (4_096, not(4_096, 4_095, 8_191)),
            (4_194_303, Ok(Capacity(4_194_303))),
            (16_777_215, Ok(Capacity::MAX)),
            (16_777_216, Err(InvalidCapacity::OutOfRange(16_777_216))),
            (u64::MAX, Err(InvalidCapacity::OutOfRange(u64::MAX))),
        ] {
            assert_eq!(Capacity::try_from(asked), expected, "{asked}");
        }
    }

    #[test]
    fn errors_name_the_number_and_the_valid_neighbours() {
        assert_eq!(
            "5000".parse::<Capacity>().unwrap_err().to_string(),
            "capacity 5000 is not one less than a power of two: the nearest valid ones are 4095 and 8191"
        );
        assert_eq!(
            "many".parse::<Capacity>().unwrap_err().to_string(),
            "capacity \"many\" is not a whole number"
        );
    }
}
