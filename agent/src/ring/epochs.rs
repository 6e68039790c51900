//! Stretches of flows by which the writer knows what no flow in the ring uses any more.

use std::collections::VecDeque;

/// Epochs in a ring, so that what is no longer used is kept an eighth of the ring longer at most.
const EPOCHS: u64 = 8;
/// Flows in an epoch at least.
const MIN_FLOWS: u64 = 256;

/// Counts epochs: one ends with the batch that fills it.
#[derive(Debug)]
pub struct Epochs {
    slots: u64,
    current: u64,
    /// The number of flows with which the current epoch ends.
    due: u64,
    /// How many flows were written at the end of each epoch that may still have flows in the ring, the newest last.
    ends: VecDeque<u64>,
}

// === impl Epochs ===

impl Epochs {
    /// Of a ring with so many slots.
    pub fn new(slots: u64) -> Self {
        Self { slots, current: 0, due: Self::flows(slots), ends: VecDeque::new() }
    }

    /// The current epoch.
    pub const fn current(&self) -> u64 {
        self.current
    }

    /// Ends the epoch if enough flows were written; gives the oldest epoch that has flows in any slot then.
    pub fn end(&mut self, written: u64) -> Option<u64> {
        if written < self.due {
            return None;
        }
        self.ends.push_back(written);
        self.current += 1;
        self.due = written + Self::flows(self.slots);
        let overwritten = written.saturating_sub(self.slots);
        while self.ends.pop_front_if(|end| *end <= overwritten).is_some() {}
        Some(self.current - self.ends.len() as u64)
    }

    fn flows(slots: u64) -> u64 {
        (slots / EPOCHS).max(MIN_FLOWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_over_once_all_its_flows_are_overwritten() {
        let mut epochs = Epochs::new(4_096);
        assert_eq!((epochs.current(), epochs.end(511)), (0, None));
        let mut written = 0;
        for epoch in 1..=30 {
            written += 512;
            let oldest = epochs.end(written).unwrap();
            assert_eq!(epochs.current(), epoch);
            // eight whole epochs lie in 4,096 slots
            assert_eq!(oldest, epoch.saturating_sub(8), "after epoch {epoch}");
        }
    }

    #[test]
    fn a_batch_larger_than_the_ring_ends_one_epoch() {
        let mut epochs = Epochs::new(8);
        assert_eq!(epochs.end(100_000), Some(0), "its last flows are in the ring");
        assert_eq!(epochs.end(100_255), None);
        assert_eq!(epochs.end(100_256), Some(1));
    }
}
