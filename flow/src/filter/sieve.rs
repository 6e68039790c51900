//! Filters over many flows at once, part by part.

use super::memo::{Key, Memo, Table};
use super::{Filters, Look};
use crate::view::{Address, FlowView, Part, Side, address_key};

/// Which of some flows are wanted. It is used again and again, so that it takes memory once: 8 bytes for each flow and
/// each 64 filters.
#[derive(Debug, Clone, Default)]
pub struct Sieve {
    /// For each flow, the bits of those filters that may still match it.
    alive: Vec<u64>,
    wanted: Vec<usize>,
}

impl Sieve {
    /// The positions of the wanted flows, of those that went through last.
    pub fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    pub(super) fn sift<V: FlowView>(
        &mut self,
        filters: &Filters,
        count: usize,
        flow: impl Fn(usize) -> V,
        memo: &mut Memo,
    ) {
        self.wanted.clear();
        match filters.words() {
            0 => self.wanted.extend(0..count),
            // nearly all lists: with the number known, a row is a number
            1 => self.sift_rows(filters, 1, count, flow, memo),
            words => self.sift_rows(filters, words, count, flow, memo),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that there is one with the number of words known")]
    fn sift_rows<V: FlowView>(
        &mut self,
        filters: &Filters,
        words: usize,
        count: usize,
        flow: impl Fn(usize) -> V,
        memo: &mut Memo,
    ) {
        self.alive.resize(count * words, 0);
        cross_out(filters, words, &mut self.alive, flow, memo);
        for (at, alive) in self.alive.chunks_exact(words).enumerate() {
            if filters.is_wanted(alive) {
                self.wanted.push(at);
            }
        }
    }
}

/// Leaves of each flow's row the bits of those filters that match it, or none of the white list.
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that there is one with the number of words known")]
pub(super) fn cross_out<V: FlowView>(
    filters: &Filters,
    words: usize,
    alive: &mut [u64],
    flow: impl Fn(usize) -> V,
    memo: &mut Memo,
) {
    for alive in alive.chunks_exact_mut(words) {
        filters.begin(alive);
    }
    for look in &filters.looks {
        Rows { filters, look, words, alive, flow: &flow }.look::<V>(memo);
    }
}

/// The rows of all flows, before one look.
struct Rows<'a, F> {
    filters: &'a Filters,
    look: &'a Look,
    words: usize,
    alive: &'a mut [u64],
    flow: &'a F,
}

impl<F> Rows<'_, F> {
    /// One loop for each part, so that none asks in every round which part it is.
    #[inline(always)]
    fn look<V: FlowView>(&mut self, memo: &mut Memo)
    where
        F: Fn(usize) -> V,
    {
        use Side::{Destination, Source};
        let part = self.look.part;
        match part {
            Part::Address(side) => {
                let key = |flow: &V| match flow.address(side) {
                    Address::Ip(address) => address_key(address),
                    Address::Text(_) => None,
                };
                self.keep(memo.of_addresses(side), key);
            }
            Part::End(Source) => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::End(Source))),
            Part::End(Destination) => {
                self.keep(memo.of_part(part), |flow: &V| flow.key(Part::End(Destination)));
            }
            Part::Service(side) => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::Service(side))),
            Part::Port(side) => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::Port(side))),
            Part::Node => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::Node)),
            Part::Interface => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::Interface)),
            Part::Event => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::Event)),
            Part::Header => self.keep(memo.of_part(part), |flow: &V| flow.key(Part::Header)),
            Part::Other => self.keep(memo.of_part(part), |_: &V| None),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that there is one for each part")]
    fn keep<V: FlowView, K: Key>(&mut self, table: &mut Table<K>, key: impl Fn(&V) -> Option<K>)
    where
        F: Fn(usize) -> V,
    {
        let Self { filters, look, words, .. } = *self;
        for (at, alive) in self.alive.chunks_exact_mut(words).enumerate() {
            if !filters.may_match(alive) {
                continue;
            }
            let flow = (self.flow)(at);
            match key(&flow) {
                Some(key) => {
                    let row = table.row(key, words, |row| {
                        row.fill(u64::MAX);
                        look.cross_out(row, &flow);
                    });
                    for (alive, row) in alive.iter_mut().zip(row) {
                        *alive &= row;
                    }
                }
                None => look.cross_out(alive, &flow),
            }
        }
    }
}
