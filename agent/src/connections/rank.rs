//! The few connections with most of something, of any number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use palomar_proto::palomar::v1::ConnectionRank;

use super::tracked::Tracked;

/// What connections are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RankBy {
    Bytes,
    Packets,
    Age,
    Idle,
}

impl From<ConnectionRank> for RankBy {
    fn from(rank: ConnectionRank) -> Self {
        match rank {
            ConnectionRank::Unspecified | ConnectionRank::Bytes => Self::Bytes,
            ConnectionRank::Packets => Self::Packets,
            ConnectionRank::Age => Self::Age,
            ConnectionRank::Idle => Self::Idle,
        }
    }
}

impl RankBy {
    /// How much of it a connection has at a moment of the kernel's clock.
    pub(super) fn amount(self, tracked: &Tracked, now_ns: u64) -> u64 {
        let connection = &tracked.told_by().connection;
        let sum = |[one, other]: [u64; 2]| one.saturating_add(other);
        match self {
            Self::Bytes => sum(connection.bytes),
            Self::Packets => sum(connection.packets),
            Self::Age => now_ns.saturating_sub(connection.began),
            Self::Idle => now_ns.saturating_sub(connection.last_seen),
        }
    }
}

/// At most so many items, those with most (or least) of an amount; of equals, those that came first.
#[derive(Debug)]
pub(super) struct Top<T> {
    limit: usize,
    least: bool,
    /// The one to give up first on top.
    kept: BinaryHeap<Reverse<Ranked<T>>>,
    offered: u64,
}

#[derive(Debug)]
struct Ranked<T> {
    worth: u64,
    place: Reverse<u64>,
    item: T,
}

// === impl Top ===

impl<T> Top<T> {
    pub(super) fn new(limit: usize, least: bool) -> Self {
        Self { limit, least, kept: BinaryHeap::new(), offered: 0 }
    }

    /// Keeps the item if it belongs to the best so far.
    pub(super) fn offer(&mut self, amount: u64, item: T) {
        let worth = if self.least { u64::MAX - amount } else { amount };
        self.offered += 1;
        let ranked = Ranked { worth, place: Reverse(self.offered), item };
        if self.kept.len() < self.limit {
            self.kept.push(Reverse(ranked));
        } else if let Some(mut last) = self.kept.peek_mut()
            && last.0 < ranked
        {
            *last = Reverse(ranked);
        }
    }

    /// What was kept, in no order.
    pub(super) fn into_items(self) -> impl Iterator<Item = T> {
        self.kept.into_iter().map(|Reverse(ranked)| ranked.item)
    }
}

// === impl Ranked ===

impl<T> Ranked<T> {
    fn rank(&self) -> (u64, Reverse<u64>) {
        (self.worth, self.place)
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Ranked<T> {}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The oracle sorts everything.
        #[test]
        fn the_best_are_those_that_a_sort_of_all_puts_first(
            amounts in prop::collection::vec(0_u64..20, 0..200),
            limit in 0_usize..50,
            least: bool,
        ) {
            let mut top = Top::new(limit, least);
            for (place, amount) in amounts.iter().enumerate() {
                top.offer(*amount, place);
            }
            let mut kept: Vec<usize> = top.into_items().collect();
            kept.sort_unstable();

            let mut places: Vec<usize> = (0..amounts.len()).collect();
            places.sort_by_key(|place| (if least { amounts[*place] } else { u64::MAX - amounts[*place] }, *place));
            places.truncate(limit);
            places.sort_unstable();
            prop_assert_eq!(kept, places);
        }
    }
}
