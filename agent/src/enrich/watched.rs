//! Which interfaces are watched so that every delivery is seen there.

use std::collections::BTreeMap;

use arc_swap::ArcSwap;

/// Interfaces with our programs at them, before all others.
#[derive(Debug, Default)]
pub struct Watched {
    since_ns: ArcSwap<BTreeMap<u32, u64>>,
}

// === impl Watched ===

impl Watched {
    /// Says which are watched now, at a moment of the kernel's clock. Those that were before stay so since then.
    pub fn set(&self, interfaces: impl Iterator<Item = u32>, now_ns: u64) {
        let before = self.since_ns.load();
        let since = |ifindex| (ifindex, before.get(&ifindex).copied().unwrap_or(now_ns));
        let now: BTreeMap<u32, u64> = interfaces.map(since).collect();
        if now != **before {
            self.since_ns.store(now.into());
        }
    }

    /// Whether an interface has been watched since this moment or before.
    pub fn is_watched_since(&self, ifindex: u32, at_ns: u64) -> bool {
        self.since_ns.load().get(&ifindex).is_some_and(|since| *since <= at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_watched_from_when_it_was_said_to_be_until_it_is_not() {
        let watched = Watched::default();
        assert!(!watched.is_watched_since(7, u64::MAX));
        watched.set([7].into_iter(), 100);
        watched.set([7, 8].into_iter(), 200);
        let at = |ifindex| [99, 100, 200].map(|at_ns| watched.is_watched_since(ifindex, at_ns));
        assert_eq!((at(7), at(8)), ([false, true, true], [false, false, true]));
        watched.set([8].into_iter(), 300);
        watched.set([7, 8].into_iter(), 400);
        assert_eq!((watched.is_watched_since(7, 300), watched.is_watched_since(8, 300)), (false, true));
    }
}
