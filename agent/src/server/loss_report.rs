//! Lost events, as a query tells them: summed by source, and told at most once a second.

use std::time::{Duration, Instant};

use palomar_flow::convert::timestamp;
use palomar_proto::flow::{LostEvent, LostEventSource};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use crate::clock::wall_now_ns;
use crate::losses::{Loss, LossSource};

const EVERY: Duration = Duration::from_secs(1);

/// What is still to be told.
#[derive(Debug, Default)]
pub struct LossReport {
    pending: Vec<Loss>,
    told_at: Option<Instant>,
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

    /// What may be told now; all of it if the query ends.
    pub fn take(&mut self, ends: bool) -> Vec<Loss> {
        let due = ends || self.told_at.is_none_or(|at| at.elapsed() >= EVERY);
        if self.pending.is_empty() || !due {
            return Vec::new();
        }
        self.told_at = Some(Instant::now());
        std::mem::take(&mut self.pending)
    }
}

/// The response that tells a loss.
pub fn to_response(loss: &Loss, node_name: &str) -> GetFlowsResponse {
    let Loss { source, count, first_ns, last_ns } = *loss;
    GetFlowsResponse {
        node_name: node_name.to_owned(),
        time: Some(timestamp(wall_now_ns())),
        response_types: Some(ResponseTypes::LostEvents(LostEvent {
            source: to_proto(source).into(),
            num_events_lost: count,
            cpu: None,
            first: Some(timestamp(first_ns)),
            last: Some(timestamp(last_ns)),
        })),
    }
}

/// Hubble's name for the place; it has none for events that were left out by design or were not understood.
fn to_proto(source: LossSource) -> LostEventSource {
    match source {
        LossSource::RateLimited | LossSource::InvalidRecord | LossSource::Decode => {
            LostEventSource::UnknownLostEventSource
        }
        LossSource::KernelRingDrop | LossSource::KernelRingTrace | LossSource::KernelRingPolicyVerdict => {
            LostEventSource::PerfEventRingBuffer
        }
        LossSource::QueueFull => LostEventSource::ObserverEventsQueue,
        LossSource::ReaderOvertaken => LostEventSource::HubbleRingBuffer,
    }
}
