//! Numbers that look random and are the same for the same seed: `SplitMix64`.

/// A source of such numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

// === impl Random ===

impl Random {
    /// The sequence of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, of all that there are.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 where the limit is 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        let scaled = (u128::from(self.next()) * u128::from(limit)) >> 64;
        u32::try_from(scaled).expect("invariant: a part of a u32 is a u32")
    }

    /// A port from `first` to `last`, both included.
    pub fn port(&mut self, first: u16, last: u16) -> u16 {
        let offset = self.below(u32::from(last.saturating_sub(first)) + 1);
        first + u16::try_from(offset).expect("invariant: the distance of two ports is a port")
    }

    /// True so many times in a thousand.
    pub fn per_mille(&mut self, times: u32) -> bool {
        self.below(1_000) < times
    }

    /// An index of so many things.
    pub fn index(&mut self, count: usize) -> usize {
        let count = u32::try_from(count).expect("invariant: a sample is small");
        usize::try_from(self.below(count)).expect("invariant: usize has at least 32 bits")
    }

    /// One of some values; there must be one.
    pub fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.index(values.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        // the first outputs that the algorithm's description gives for this seed
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_it() {
        let mut random = Random::new(1);
        let drawn: Vec<u32> = (0..1_000).map(|_| random.below(10)).collect();
        assert!((0..10).all(|wanted| drawn.contains(&wanted)) && drawn.iter().all(|n| *n < 10));
        let ports: Vec<u16> = (0..1_000).map(|_| random.port(65_530, 65_535)).collect();
        assert!(
            ports.contains(&65_530) && ports.contains(&65_535) && ports.iter().all(|port| *port >= 65_530)
        );
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }
}
