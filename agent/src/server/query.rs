//! One query over the ring: where it stands, what it has told. No I/O and no waiting; the stream around it does that.

use std::sync::Arc;

use palomar_flow::convert::NodeContext;
use prost::Message;

use super::Served;
use super::chunks::CHUNK_BYTES;
use super::encoder::Encoder;
use super::ends::EncodedEnds;
use super::frames::frame;
use super::loss_report::{self, LossReport};
use super::plan::{Plan, Start};
use super::view::RecordView;
use super::wanted::{Scratch, Wanted};
use crate::clock::wall_now_ns;
use crate::losses::{Loss, LossSource, LossTeller, Losses};
use crate::ring::{Batch, Record, Ring};

/// Flows that are copied at once where all are told: about as many as make a part of a chunk.
const TOLD_AT_ONCE: usize = 32;
/// How long after the end of its window a following query waits for flows that are on the way, in nanoseconds.
const LATE_NS: i64 = 1_000_000_000;

/// Where a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to look at: go on.
    More,
    /// A following query has seen all there is: wait for the flow with this sequence number.
    CaughtUp(u64),
    /// The end.
    Ended,
}

/// What a query does next.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Looks back from `at` for the flow to begin with; so many matching ones are still wanted.
    Rewind {
        at: u64,
        wanted: u64,
    },
    /// Tells flows from `at` on.
    Forward {
        at: u64,
    },
    Ended,
}

/// A query under way.
pub struct Query {
    ring: Arc<Ring>,
    losses: Arc<Losses>,
    node: Arc<NodeContext>,
    wanted: Wanted,
    phase: Phase,
    /// Where a query that does not follow ends: the newest flow when it began.
    end: Option<u64>,
    /// How many flows are still wanted.
    limit: Option<u64>,
    /// Flows from here on came after the query.
    live_from: u64,
    teller: Option<LossTeller>,
    report: LossReport,
    encoder: Encoder,
    passing: Passing,
}

/// What became of the flows of one step so far.
#[derive(Debug, Default)]
struct Passing {
    from: u64,
    answered: u64,
    missed: u64,
}

// === impl Query ===

impl Query {
    /// A query of what is in the ring now, and if it follows, of what comes.
    pub fn new(plan: Plan, served: &Served, ends: &EncodedEnds) -> Self {
        let Plan { start, limit, window, follow, filters, mask } = plan;
        let newest = served.ring.written();
        let oldest = served.ring.oldest();
        let teller = match start {
            Start::Newest => Some(served.losses.teller_from_now()),
            Start::Oldest | Start::LastMatching(_) => None,
        };
        Self {
            encoder: Encoder::new(&mask, &served.node, ends.of(&mask)),
            ring: Arc::clone(&served.ring),
            losses: Arc::clone(&served.losses),
            node: Arc::clone(&served.node),
            wanted: Wanted::new(filters, window),
            phase: match start {
                Start::Oldest => Phase::Forward { at: oldest },
                Start::LastMatching(wanted) => Phase::Rewind { at: newest, wanted },
                Start::Newest => Phase::Forward { at: newest },
            },
            end: (!follow).then_some(newest),
            limit,
            live_from: newest,
            teller,
            report: LossReport::default(),
            passing: Passing::default(),
        }
    }

    /// Looks at one batch of flows and appends the framed responses to `out`. Where that makes a chunk, the rest of the
    /// batch is left for the next step.
    pub fn step(&mut self, scratch: &mut Scratch, out: &mut Vec<u8>) -> Progress {
        match self.phase {
            Phase::Rewind { at, wanted } => {
                self.rewind(at, wanted, scratch);
                Progress::More
            }
            Phase::Forward { at } => self.forward(at, scratch, out),
            Phase::Ended => Progress::Ended,
        }
    }

    fn rewind(&mut self, at: u64, wanted: u64, scratch: &mut Scratch) {
        let oldest = self.ring.oldest();
        let at = self.ring.skip_back_to(oldest..at.max(oldest), self.wanted.window());
        let from = oldest.max(at.saturating_sub(self.wanted.at_once() as u64));
        let batch = self.ring.read_back(from..at, &mut scratch.records);
        if scratch.records.is_empty() {
            self.phase = Phase::Forward { at: oldest };
            return;
        }
        self.find(&batch, scratch.records.len(), scratch);
        let found = scratch.wanted.len();
        self.phase = match usize::try_from(wanted) {
            Ok(wanted) if wanted <= found => {
                Phase::Forward { at: batch.first + scratch.wanted[found - wanted] as u64 }
            }
            _ => Phase::Rewind { at: batch.first, wanted: wanted - found as u64 },
        };
    }

    fn forward(&mut self, at: u64, scratch: &mut Scratch, out: &mut Vec<u8>) -> Progress {
        self.passing = Passing { from: at, ..Passing::default() };
        let end = self.end.unwrap_or(u64::MAX);
        // flows that come while the query follows are looked at one by one, since one beyond the window ends it
        let at = if at < self.live_from {
            self.ring.skip_to(at..end.min(self.live_from), self.wanted.window())
        } else {
            at
        };
        let most = if self.wanted.is_unrestricted() { TOLD_AT_ONCE } else { self.wanted.at_once() };
        let batch = self.ring.read_at_most(most, at..end, &mut scratch.records);
        self.note_missed(batch.missed);
        let count = scratch.records.len();
        let within = self.within_window(&batch, &scratch.records);
        self.find(&batch, within, scratch);
        let Scratch { records, wanted, .. } = scratch;
        let mut looked_at = count;
        for at in wanted.iter().copied() {
            self.tell(&batch, at, &records[at], out);
            if self.count_down() {
                return self.finish(&batch, &records[..=at], out);
            }
            if out.len() >= CHUNK_BYTES {
                looked_at = at + 1;
                break;
            }
        }
        if within < looked_at {
            return self.finish(&batch, &records[..within], out);
        }
        let next = batch.first + looked_at as u64;
        self.phase = Phase::Forward { at: next };
        let caught_up = records.is_empty();
        if caught_up && (self.end.is_some_and(|end| next >= end) || self.window_is_over()) {
            return self.finish(&batch, &[], out);
        }
        self.count_passed(next);
        self.note_losses(&batch, &records[..looked_at]);
        self.tell_losses(false, out);
        if caught_up { Progress::CaughtUp(next) } else { Progress::More }
    }

    /// How many records come before the first new one that lies beyond the window, which ends the query.
    fn within_window(&self, batch: &Batch, records: &[Record]) -> usize {
        let until_ns = self.wanted.window().until_ns;
        let new = usize::try_from(self.live_from.saturating_sub(batch.first)).unwrap_or(usize::MAX);
        if until_ns == i64::MAX || new >= records.len() {
            return records.len();
        }
        let beyond = records[new..].iter().position(|record| record.time_ns > until_ns);
        beyond.map_or(records.len(), |at| new + at)
    }

    /// Whether a following query's window lies in the past by now.
    fn window_is_over(&self) -> bool {
        let until_ns = self.wanted.window().until_ns;
        until_ns != i64::MAX && wall_now_ns() > until_ns.saturating_add(LATE_NS)
    }

    /// When [`Query::step`] is due although no flow came; `None` for a window without an end.
    pub fn window_end_ns(&self) -> Option<i64> {
        let until_ns = self.wanted.window().until_ns;
        (until_ns != i64::MAX).then(|| until_ns.saturating_add(LATE_NS + 1))
    }

    fn find(&mut self, batch: &Batch, count: usize, scratch: &mut Scratch) {
        self.wanted.find(batch, count, &self.node, self.ring.uuids(), scratch);
    }

    fn tell(&mut self, batch: &Batch, at: usize, record: &Record, out: &mut Vec<u8>) {
        let Self { ring, node, encoder, passing, .. } = self;
        let sequence = batch.first + at as u64;
        let view = RecordView { record, names: &batch.names, node, uuids: ring.uuids(), sequence };
        frame(out, |out| encoder.encode(&view, out));
        passing.answered += 1;
    }

    /// Counts a flow that was told; true if it was the last one wanted.
    fn count_down(&mut self) -> bool {
        self.limit.as_mut().is_some_and(|limit| {
            *limit -= 1;
            *limit == 0
        })
    }

    fn note_missed(&mut self, missed: u64) {
        self.passing.missed = missed;
        if missed > 0 {
            let now_ns = wall_now_ns();
            self.report.add(Loss {
                source: LossSource::ReaderOvertaken,
                count: missed,
                first_ns: now_ns,
                last_ns: now_ns,
            });
        }
    }

    /// Counts what became of this step's flows, which end before `upto`.
    fn count_passed(&self, upto: u64) {
        let Passing { from, answered, missed } = self.passing;
        if upto > from {
            self.losses.query_passed(upto - from, answered, missed);
        }
    }

    /// Notes the losses up to the newest of those flows of a batch that were looked at; all, where the batch is of
    /// new flows or there is none.
    fn note_losses(&mut self, batch: &Batch, looked_at: &[Record]) {
        let upto_ns = match looked_at.iter().map(|record| record.time_ns).max() {
            Some(newest_ns) if batch.first < self.live_from => newest_ns,
            _ => i64::MAX,
        };
        let Self { losses, .. } = self;
        let window = self.wanted.window();
        let teller = self.teller.get_or_insert_with(|| {
            // without a lower bound the losses since the first flow belong to the answer
            let since_ns = match window.since_ns {
                i64::MIN => looked_at.first().map_or(i64::MIN, |record| record.time_ns),
                since_ns => since_ns,
            };
            losses.teller(since_ns, window.until_ns)
        });
        for loss in teller.tell(losses, upto_ns) {
            self.report.add(loss);
        }
        for gap in teller.tell_gaps(losses, upto_ns) {
            self.report.add_gap(gap);
        }
    }

    fn tell_losses(&mut self, ends: bool, out: &mut Vec<u8>) {
        for loss in self.report.take(ends) {
            let response = loss_report::to_response(&loss, self.node.name());
            frame(out, |out| response.encode_raw(out));
        }
    }

    /// Ends after those flows of a batch that were looked at.
    fn finish(&mut self, batch: &Batch, looked_at: &[Record], out: &mut Vec<u8>) -> Progress {
        self.count_passed(batch.first + looked_at.len() as u64);
        self.note_losses(batch, looked_at);
        self.phase = Phase::Ended;
        self.tell_losses(true, out);
        Progress::Ended
    }
}
