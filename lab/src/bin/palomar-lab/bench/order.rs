//! Another order each round, so that no configuration always follows the same one.

/// The items in an order of this round's own; the same in every run.
pub fn shuffled<T: Copy>(items: &[T], round: u32) -> Vec<T> {
    let mut items = items.to_vec();
    let mut state = u64::from(round).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let below = u64::try_from(last + 1).expect("invariant: a length fits 64 bits");
        let other = usize::try_from((state >> 8) % below).expect("invariant: it is less than a length");
        items.swap(last, other);
    }
    items
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_item_is_there_once_and_rounds_differ() {
        let rounds: BTreeSet<_> = (0..7).map(|round| shuffled(&[1, 2, 3, 4, 5], round)).collect();
        assert!(rounds.len() >= 6, "{rounds:?}");
        let firsts: BTreeSet<_> = rounds.iter().map(|order| order[0]).collect();
        assert!(firsts.len() >= 3, "{rounds:?}");
        for mut order in rounds {
            order.sort_unstable();
            assert_eq!(order, [1, 2, 3, 4, 5]);
        }
    }
}
