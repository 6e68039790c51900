//! First packets on their way to another local pod, until it is known what became of them.
//!
//! The kernel tells the first packet of such a connection at its source as well. Its delivery, a drop or an answer makes
//! that old news, and nothing is shown of it. Where none follows, the packet has vanished between two interfaces: that is
//! shown once everything of that second has been read, and only where nothing was lost that could have told otherwise.

mod recent;
mod table;
mod way;

use palomar_model::flow::Event;
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};

use recent::Recent;
use table::Table;
use way::Way;

use crate::decode::KernelEvent;

/// How long a packet may be on its way, in nanoseconds.
const PATIENCE_NS: u64 = 1_000_000_000;
/// How long it is waited for word of what was read and lost; nothing can be said of a packet after that.
const WORD_NS: u64 = 10_000_000_000;
/// Of drops between two addresses, to one port, one is told at least in so many nanoseconds, however many there are.
const TOLD_EACH_NS: u64 = 2_000_000_000;

/// The packets that are on their way.
pub(super) struct Departures {
    table: Table,
    /// The newest event that was heard.
    heard_ns: u64,
    lost: Grown,
    limited: Grown,
    /// Drops, by both addresses and the port: others of them may be left out by the rate limit.
    drops: Recent,
    /// Deliveries of which the source is hidden, by address and port of the destination.
    masked: Recent,
}

/// What is known from elsewhere. Times are of the kernel's clock, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct News {
    /// Now.
    pub now_ns: u64,
    /// Everything that was told before this moment has been heard, or was counted as lost; 0 where that is not known.
    pub emptied_ns: u64,
    /// What the kernel lost before this moment is in `lost` and `limited`.
    pub counted_ns: u64,
    /// Events that were lost so far, wherever.
    pub lost: u64,
    /// Events that the kernel's rate limit left out so far.
    pub limited: u64,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not delivered, and nobody told that he dropped it.
    Vanished,
    /// Whoever could have told may have been lost.
    Unknown,
}

/// A count, and when it was last seen to have grown.
#[derive(Default)]
struct Grown {
    count: u64,
    noticed_ns: u64,
}

// === impl Departures ===

impl Departures {
    pub(super) fn new() -> Self {
        Self {
            table: Table::new(),
            heard_ns: 0,
            lost: Grown::default(),
            limited: Grown::default(),
            drops: Recent::new(),
            masked: Recent::new(),
        }
    }

    /// Whether an event tells of a departure, and is to be added.
    #[inline]
    pub(super) fn is_departure(event: &KernelEvent) -> bool {
        event.event == Event::Trace(ObservationPoint::FromEndpoint)
    }

    /// Waits for what becomes of a packet; whether there is room.
    pub(super) fn add(&mut self, event: &KernelEvent) -> bool {
        self.heard_ns = self.heard_ns.max(event.monotonic_ns);
        self.table.add(Way::of(event), event)
    }

    /// Hears any other event; gives how many packets' fates it tells.
    #[inline]
    pub(super) fn hear(&mut self, event: &KernelEvent) -> u64 {
        self.heard_ns = self.heard_ns.max(event.monotonic_ns);
        if event.verdict == Verdict::Dropped || event.source_masked {
            self.note(event);
        }
        if self.table.is_empty() { 0 } else { self.settle(event) }
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Hands each packet that has been waited for long enough to `each`, in no order.
    pub(super) fn end(&mut self, news: &News, mut each: impl FnMut(KernelEvent, Fate)) {
        self.lost.notice(news.lost, news.now_ns);
        self.limited.notice(news.limited, news.now_ns);
        if self.table.is_empty() {
            return;
        }
        let known_ns = self.heard_ns.max(news.emptied_ns).min(news.counted_ns);
        let due_ns = known_ns.saturating_sub(PATIENCE_NS).max(news.now_ns.saturating_sub(WORD_NS));
        let Self { table, lost, limited, drops, masked, .. } = self;
        table.take_until(due_ns, |way, event| {
            let left_ns = event.monotonic_ns;
            let told_otherwise = lost.noticed_ns >= left_ns
                || masked.last_ns(&way.of_anybody()) >= left_ns
                || limited.noticed_ns >= left_ns
                    && drops.last_ns(&way.of_any_port()) + TOLD_EACH_NS >= left_ns;
            let is_known = known_ns >= left_ns + PATIENCE_NS && !told_otherwise;
            each(event, if is_known { Fate::Vanished } else { Fate::Unknown });
        });
    }

    /// Gives up on all of them, and gives their number.
    pub(super) fn clear(&mut self) -> u64 {
        let mut count = 0;
        self.table.take_until(u64::MAX, |_, _| count += 1);
        count
    }

    /// What may concern packets whose own fate is not told.
    #[cold]
    fn note(&mut self, event: &KernelEvent) {
        let way = Way::of(event);
        if event.verdict == Verdict::Dropped {
            self.drops.note(&way.of_any_port(), event.monotonic_ns);
        }
        if event.source_masked {
            self.masked.note(&way.of_anybody(), event.monotonic_ns);
        }
    }

    fn settle(&mut self, event: &KernelEvent) -> u64 {
        let way = Way::of(event);
        let has_ended = event.direction == Direction::Ingress || event.verdict == Verdict::Dropped;
        let settled = u64::from(has_ended && self.table.take(&way));
        // the answer to a packet says that it was there
        let answered = event.state == ConnectionState::Reply && self.table.take(&way.back());
        settled + u64::from(answered)
    }
}

// === impl Grown ===

impl Grown {
    fn notice(&mut self, count: u64, now_ns: u64) {
        if count != self.count {
            *self = Self { count, noticed_ns: now_ns };
        }
    }
}
