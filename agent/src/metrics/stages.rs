//! The stages of the event path, as the ring and the losses know them. Counters of a stage are added here.
//! Taken = given + left out + lost + in hand, for every stage.

use crate::clock::wall_now_ns;
use crate::losses::{LossSource, Losses, StageCounts};
use crate::ring::Ring;

use super::exposition::{Exposition, Family, Labels};

/// Writes the losses and the state of the ring.
pub fn expose(ring: &Ring, losses: &Losses, out: &mut Exposition) {
    expose_losses(losses, out);
    expose_ring(ring, out);
}

fn expose_losses(losses: &Losses, out: &mut Exposition) {
    let counts = losses.counts();
    let mut family = out.counter("hubble_lost_events", "Lost events, by Hubble's names of the places.");
    for name in HUBBLE_SOURCES {
        let of_name = counts.iter().filter(|(source, _)| hubble_source(*source) == name);
        let count: u64 = of_name.map(|(_, count)| count).sum();
        family.sample(&Labels::default().with("source", name), count);
    }
    let stages = losses.stages();
    let mut family =
        out.counter("palomar_lost_events", "Lost events, by the stage and the place that lost them.");
    for StageCounts { stage, lost, .. } in &stages {
        for (source, count) in lost {
            let labels = Labels::default().with("stage", stage.name()).with("source", source.name());
            family.sample(&labels, *count);
        }
    }
    let tell = |family: &mut Family<'_>, value: fn(&StageCounts) -> u64| {
        for counts in &stages {
            family.sample(&Labels::default().with("stage", counts.stage.name()), value(counts));
        }
    };
    tell(&mut out.counter("palomar_taken_events", "Events that came into a stage."), |counts| counts.taken);
    tell(&mut out.counter("palomar_given_events", "Events that a stage gave on."), |counts| counts.given);
    tell(&mut out.counter("palomar_left_out_events", "Events that a stage left out on purpose."), |counts| {
        counts.left_out
    });
    tell(
        &mut out.gauge("palomar_events_in_hand", "Events that came into a stage and are still there."),
        StageCounts::in_hand,
    );
}

fn expose_ring(ring: &Ring, out: &mut Exposition) {
    out.gauge("palomar_ring_capacity_flows", "Flows that the ring can hold.")
        .sample(&Labels::NONE, ring.capacity().flows());
    out.gauge("palomar_ring_flows", "Flows that the ring holds.").sample(&Labels::NONE, ring.len());
    out.counter("palomar_ring_flows_written", "Flows that were ever written to the ring.")
        .sample(&Labels::NONE, ring.written());
    let mut age =
        out.gauge("palomar_ring_oldest_flow_age_seconds", "Age of the oldest flow that the ring holds.");
    if let Some(oldest_ns) = ring.oldest_time_ns() {
        let age_ms = wall_now_ns().saturating_sub(oldest_ns) / 1_000_000;
        // a clock that was set back makes flows that lie ahead
        age.sample(&Labels::NONE, f64::from(i32::try_from(age_ms.max(0)).unwrap_or(i32::MAX)) / 1_000.0);
    }
}

const PERF_EVENT_RING_BUFFER: &str = "perf_event_ring_buffer";
const OBSERVER_EVENTS_QUEUE: &str = "observer_events_queue";
const HUBBLE_RING_BUFFER: &str = "hubble_ring_buffer";
const UNKNOWN: &str = "unknown_lost_event_source";
const HUBBLE_SOURCES: [&str; 4] =
    [PERF_EVENT_RING_BUFFER, OBSERVER_EVENTS_QUEUE, HUBBLE_RING_BUFFER, UNKNOWN];

/// Hubble's name for the place, as a query tells it in lower case.
fn hubble_source(source: LossSource) -> &'static str {
    match source {
        LossSource::RateLimited
        | LossSource::InvalidRecord
        | LossSource::Decode
        | LossSource::FateUnknown => UNKNOWN,
        LossSource::KernelRingDrop | LossSource::KernelRingTrace | LossSource::KernelRingPolicyVerdict => {
            PERF_EVENT_RING_BUFFER
        }
        LossSource::QueueFull => OBSERVER_EVENTS_QUEUE,
        LossSource::ReaderOvertaken => HUBBLE_RING_BUFFER,
    }
}
