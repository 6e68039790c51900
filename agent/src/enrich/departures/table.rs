//! A bounded table of packets by their ways. It takes memory once, and touches it as it fills.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::recent::place;
use super::way::Way;
use crate::decode::KernelEvent;

/// Packets that are waited for at once.
pub(super) const MAX_WAITING: usize = 4_096;
/// Chains of the table; a power of two.
const CHAINS: usize = 4_096;
/// Ends a chain.
const NONE: u32 = u32::MAX;

/// Slots, each in the chain of its way's hash or in that of the free ones.
pub(super) struct Table {
    hasher: RandomState,
    chains: Box<[u32]>,
    slots: Vec<Slot>,
    free: u32,
    len: usize,
    /// No packet in the table left before.
    oldest_ns: u64,
}

struct Slot {
    /// The next one of the chain.
    next: u32,
    held: Option<(Way, KernelEvent)>,
}

// === impl Table ===

impl Table {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            chains: vec![NONE; CHAINS].into(),
            slots: Vec::with_capacity(MAX_WAITING),
            free: NONE,
            len: 0,
            oldest_ns: u64::MAX,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a packet; several may go one way. Whether there is room: where there is none, the table stays as it is.
    pub(super) fn add(&mut self, way: Way, event: &KernelEvent) -> bool {
        if self.len == MAX_WAITING {
            return false;
        }
        let chain = self.chain(&way);
        let slot = Slot { next: self.chains[chain], held: Some((way, *event)) };
        let index = if self.free == NONE {
            self.slots.push(slot);
            index_of(self.slots.len() - 1)
        } else {
            let index = self.free;
            self.free = std::mem::replace(self.slot(index), slot).next;
            index
        };
        self.chains[chain] = index;
        self.len += 1;
        self.oldest_ns = self.oldest_ns.min(event.monotonic_ns);
        true
    }

    /// Takes out the last of those that go this way; whether there was one.
    pub(super) fn take(&mut self, way: &Way) -> bool {
        let chain = self.chain(way);
        let (mut before, mut index) = (NONE, self.chains[chain]);
        while index != NONE {
            let slot = self.slot(index);
            let next = slot.next;
            if slot.held.is_some_and(|(held, _)| held == *way) {
                self.unchain(chain, before, index);
                return true;
            }
            (before, index) = (index, next);
        }
        false
    }

    /// Takes out all that left at `until_ns` or before.
    pub(super) fn take_until(&mut self, until_ns: u64, mut each: impl FnMut(Way, KernelEvent)) {
        if self.oldest_ns > until_ns {
            return;
        }
        self.oldest_ns = u64::MAX;
        for chain in 0..CHAINS {
            let (mut before, mut index) = (NONE, self.chains[chain]);
            while index != NONE {
                let slot = self.slot(index);
                let (next, held) = (slot.next, slot.held);
                let (way, event) = held.expect("invariant: a chain has no free slots");
                if event.monotonic_ns <= until_ns {
                    self.unchain(chain, before, index);
                    each(way, event);
                } else {
                    self.oldest_ns = self.oldest_ns.min(event.monotonic_ns);
                    before = index;
                }
                index = next;
            }
        }
    }

    /// Frees a slot that follows `before` in its chain, or begins it.
    fn unchain(&mut self, chain: usize, before: u32, index: u32) {
        let free = self.free;
        let slot = self.slot(index);
        slot.held = None;
        let next = std::mem::replace(&mut slot.next, free);
        self.free = index;
        self.len -= 1;
        if before == NONE {
            self.chains[chain] = next;
        } else {
            self.slot(before).next = next;
        }
    }

    fn chain(&self, way: &Way) -> usize {
        place(self.hasher.hash_one(way), CHAINS)
    }

    fn slot(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[usize::try_from(index).expect("invariant: an index is small")]
    }
}

fn index_of(place: usize) -> u32 {
    u32::try_from(place).expect("invariant: there are not that many slots")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use palomar_bpf::abi;
    use palomar_model::packet::{TcpFlags, Transport};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn leaving(port: u16, monotonic_ns: u64) -> KernelEvent {
        let event = abi::Event {
            time: monotonic_ns,
            kind: 4,
            detail: 5,
            verdict: 1,
            direction: 2,
            state: 1,
            family: 4,
            source: abi::address_bytes(IpAddr::from([10, 0, 0, 1])),
            destination: abi::address_bytes(IpAddr::from([10, 0, 0, 2])),
            ..abi::Event::default()
        };
        let flags = TcpFlags(TcpFlags::SYN);
        let transport = Transport::Tcp { source: port, destination: 80, flags };
        KernelEvent { transport, ..KernelEvent::try_from(&event).unwrap() }
    }

    #[test]
    fn a_full_table_takes_no_more_until_one_is_taken_out() {
        let mut table = Table::new();
        for port in 0..u16::try_from(MAX_WAITING).unwrap() {
            assert!(table.add(Way::of(&leaving(port, 1)), &leaving(port, 1)));
        }
        let one_more = leaving(60_000, 1);
        assert!(!table.add(Way::of(&one_more), &one_more));
        assert!(table.take(&Way::of(&leaving(7, 0))));
        assert!(table.add(Way::of(&one_more), &one_more));
        assert_eq!(table.len(), MAX_WAITING);
    }

    proptest! {
        /// Against a list of pairs; few ports, so that several go one way.
        #[test]
        fn what_was_added_is_taken_out_once(steps in vec((0..3_u8, 0..6_u16, 0..50_u64), 0..200)) {
            let (mut table, mut list) = (Table::new(), Vec::new());
            for (step, port, time) in steps {
                let way = Way::of(&leaving(port, 0));
                match step {
                    0 => {
                        table.add(way, &leaving(port, time));
                        list.push((port, time));
                    }
                    1 => {
                        let last = list.iter().rposition(|(of, _)| *of == port);
                        prop_assert_eq!(table.take(&way), last.is_some());
                        last.map(|at| list.remove(at));
                    }
                    _ => {
                        let mut taken = Vec::new();
                        table.take_until(time, |held, event| taken.push((held, event.monotonic_ns)));
                        let (mut due, kept): (Vec<_>, Vec<_>) = list.iter().partition(|(_, at)| *at <= time);
                        let key = |(way, at): &(Way, u64)| (format!("{way:?}"), *at);
                        taken.sort_by_key(key);
                        let mut due: Vec<_> =
                            due.drain(..).map(|(port, at)| (Way::of(&leaving(port, 0)), at)).collect();
                        due.sort_by_key(key);
                        prop_assert_eq!(taken, due);
                        list = kept;
                    }
                }
                prop_assert_eq!(table.len(), list.len());
            }
        }
    }
}
