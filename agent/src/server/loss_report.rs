//! Lost events, as a query tells them: summed by source, and told at most once a second. Gaps are told as lost events
//! too, each by itself; their number is 0 where nobody counted, which is what a stock client prints then.

use std::time::{Duration, Instant};

use palomar_flow::convert::timestamp;
use palomar_proto::flow::{LostEvent, LostEventSource};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use crate::clock::wall_now_ns;
use crate::losses::{Gap, GapCause, Loss, LossSource};

const EVERY: Duration = Duration::from_secs(1);

/// What is still to be told.
#[derive(Debug, Default)]
pub struct LossReport {
    pending: Vec<Loss>,
    gaps: Vec<Gap>,
    told_at: Option<Instant>,
}

/// What one response tells.
#[derive(Debug, Clone, Copy)]
pub enum Lost {
    /// What a source lost.
    Counted(Loss),
    /// A time of which flows are missing.
    Gap(Gap),
}

// === impl LossReport ===

impl LossReport {
    /// Adds a loss to what is to be told.
    pub fn add(&mut self, loss: Loss) {
        match self.pending.iter_mut().find(|pending| pending.source == loss.source) {
            Some(pending) => {
                pending.count += loss.count;
                pending.first_ns = pending.first_ns.min(loss.first_ns);
                pending.last_ns = pending.last_ns.max(loss.last_ns);
            }
            None => self.pending.push(loss),
        }
    }

    /// Adds a gap to what is to be told.
    pub fn add_gap(&mut self, gap: Gap) {
        self.gaps.push(gap);
    }

    /// What may be told now; all of it if the query ends.
    pub fn take(&mut self, ends: bool) -> Vec<Lost> {
        let due = ends || self.told_at.is_none_or(|at| at.elapsed() >= EVERY);
        if (self.pending.is_empty() && self.gaps.is_empty()) || !due {
            return Vec::new();
        }
        self.told_at = Some(Instant::now());
        self.gaps.drain(..).map(Lost::Gap).chain(self.pending.drain(..).map(Lost::Counted)).collect()
    }
}

/// The response that tells it.
pub fn to_response(lost: &Lost, node_name: &str) -> GetFlowsResponse {
    GetFlowsResponse {
        node_name: node_name.to_owned(),
        time: Some(timestamp(wall_now_ns())),
        response_types: Some(ResponseTypes::LostEvents(match *lost {
            Lost::Counted(Loss { source, count, first_ns, last_ns }) => LostEvent {
                source: to_proto(source).into(),
                num_events_lost: count,
                cpu: None,
                first: Some(timestamp(first_ns)),
                last: Some(timestamp(last_ns)),
            },
            Lost::Gap(Gap { first_ns, last_ns, flows, cause }) => LostEvent {
                source: place_of(cause).into(),
                num_events_lost: flows.unwrap_or(0),
                cpu: None,
                first: (first_ns != i64::MIN).then(|| timestamp(first_ns)),
                last: Some(timestamp(last_ns)),
            },
        })),
    }
}

/// Hubble's name for where flows of a gap went: those that an agent had seen were lost with its ring, those that no
/// agent had read with the kernel's.
fn place_of(cause: GapCause) -> LostEventSource {
    match cause {
        GapCause::NothingRan => LostEventSource::UnknownLostEventSource,
        GapCause::Replaced => LostEventSource::PerfEventRingBuffer,
        GapCause::NotSaved | GapCause::Unreadable => LostEventSource::HubbleRingBuffer,
    }
}

/// Hubble's name for the place; it has none for events that were left out by design or were not understood.
fn to_proto(source: LossSource) -> LostEventSource {
    match source {
        LossSource::RateLimited
        | LossSource::InvalidRecord
        | LossSource::Decode
        | LossSource::FateUnknown => LostEventSource::UnknownLostEventSource,
        LossSource::KernelRingDrop | LossSource::KernelRingTrace | LossSource::KernelRingPolicyVerdict => {
            LostEventSource::PerfEventRingBuffer
        }
        LossSource::QueueFull => LostEventSource::ObserverEventsQueue,
        LossSource::ReaderOvertaken => LostEventSource::HubbleRingBuffer,
    }
}
