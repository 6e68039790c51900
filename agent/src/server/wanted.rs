//! Which flows of a batch a query wants.

use palomar_flow::convert::NodeContext;
use palomar_flow::filter::{Filters, Memo, Sieve};

use super::view::RecordView;
use crate::ring::{BATCH, Batch, FlowUuids, Record, TimeWindow};

/// Flows that are looked at at once where each may take long.
const SLOW_AT_ONCE: usize = 4;

/// The filters and the window of a query, and what was decided so far.
#[derive(Debug)]
pub struct Wanted {
    filters: Filters,
    window: TimeWindow,
    memo: Memo,
    erasures: u64,
    at_once: usize,
}

/// What a step of any query uses and leaves behind: one place for all queries of a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Copies of the records that are looked at.
    pub records: Vec<Record>,
    sieve: Sieve,
    /// Positions of those that are wanted.
    pub wanted: Vec<usize>,
}

// === impl Wanted ===

impl Wanted {
    /// Nothing is decided yet.
    pub fn new(filters: Filters, window: TimeWindow) -> Self {
        let at_once = if filters.take_long() { SLOW_AT_ONCE } else { BATCH };
        Self { filters, window, memo: Memo::default(), erasures: 0, at_once }
    }

    /// Whether all flows of the window are wanted.
    pub fn is_unrestricted(&self) -> bool {
        self.filters.is_unrestricted()
    }

    /// How many flows may be looked at before others have their turn.
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// The window.
    pub const fn window(&self) -> TimeWindow {
        self.window
    }

    /// Finds the wanted ones of the first `count` records of a batch.
    pub fn find(
        &mut self,
        batch: &Batch,
        count: usize,
        node: &NodeContext,
        uuids: &FlowUuids,
        scratch: &mut Scratch,
    ) {
        // what was decided by number holds as long as numbers keep their meaning
        if self.erasures != batch.names.erasures() {
            self.erasures = batch.names.erasures();
            self.memo.clear();
        }
        let Self { filters, window, memo, .. } = self;
        let Scratch { records, sieve, wanted } = scratch;
        let view = |at: usize| RecordView {
            record: &records[at],
            names: &batch.names,
            node,
            uuids,
            sequence: batch.first + at as u64,
        };
        wanted.clear();
        filters.sift(count, view, memo, sieve);
        if !filters.is_unrestricted() && records.iter().any(|record| record.rest.is_some()) {
            let mut sifted = sieve.wanted().iter().copied().peekable();
            wanted.extend((0..count).filter(|at| {
                let by_record = sifted.next_if_eq(at).is_some();
                view(*at).whole_message().map_or(by_record, |message| filters.matches(&message))
            }));
        } else {
            wanted.extend_from_slice(sieve.wanted());
        }
        if *window != TimeWindow::ALL {
            wanted.retain(|at| window.holds(records[*at].time_ns));
        }
    }
}
