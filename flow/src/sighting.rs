//! What an event says of a flow, apart from the packet and its ends, in the numbers of Hubble's messages.

use palomar_model::flow::{Event, Flow};
use palomar_model::verdict::{ConnectionState, Direction, ObservationPoint, Verdict};
use palomar_proto::flow as proto;

/// The facts from which these numbers follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What was seen.
    pub event: Event,
    /// What happened to the packet.
    pub verdict: Verdict,
    /// What connection tracking knew.
    pub state: ConnectionState,
    /// The packet's direction at the local endpoint.
    pub direction: Direction,
    /// Whether the end at which it was seen is an endpoint of this node.
    pub at_endpoint: bool,
}

/// Which of a flow's lists its policies stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyList {
    /// `egress_allowed_by`.
    EgressAllowed,
    /// `ingress_allowed_by`.
    IngressAllowed,
    /// `egress_denied_by`.
    EgressDenied,
    /// `ingress_denied_by`.
    IngressDenied,
}

impl Sighting {
    /// What is said of a flow.
    pub fn of(flow: &Flow) -> Self {
        let Flow { event, verdict, state, direction, ref source, ref destination, .. } = *flow;
        let end = match direction {
            Direction::Ingress => destination,
            Direction::Egress => source,
        };
        Self { event, verdict, state, direction, at_endpoint: end.id != 0 }
    }

    /// Hubble's three-valued `is_reply`: see [`Event::is_reply`].
    pub const fn is_reply(self) -> Option<bool> {
        self.event.is_reply(self.verdict, self.state)
    }

    /// Hubble's event type and sub-type.
    pub fn event_type(self) -> (i32, i32) {
        let sub_type = match self.event {
            Event::Trace(point) => point as i32,
            Event::Drop(reason) => reason.0.into(),
            Event::PolicyVerdict(_) => 0,
        };
        (self.event.kind() as i32, sub_type)
    }

    /// The reason of a drop event and of a verdict that dropped; 0 elsewhere.
    pub fn drop_reason(self) -> u8 {
        self.event.drop_reason(self.verdict).map_or(0, |reason| reason.0)
    }

    /// The direction that Hubble tells: see [`Event::traffic_direction`].
    pub const fn traffic_direction(self) -> proto::TrafficDirection {
        match self.event.traffic_direction(self.state, self.direction, self.at_endpoint) {
            None => proto::TrafficDirection::Unknown,
            Some(Direction::Ingress) => proto::TrafficDirection::Ingress,
            Some(Direction::Egress) => proto::TrafficDirection::Egress,
        }
    }

    /// How a policy matched; 0 for what is no verdict.
    pub const fn policy_match_type(self) -> u32 {
        match self.event {
            Event::PolicyVerdict(match_type) => match_type as u32,
            Event::Trace(_) | Event::Drop(_) => 0,
        }
    }

    /// Where the packet passed; unknown for what is no trace.
    pub const fn observation_point(self) -> proto::TraceObservationPoint {
        match self.event {
            Event::Trace(ObservationPoint::ToEndpoint) => proto::TraceObservationPoint::ToEndpoint,
            Event::Trace(ObservationPoint::ToStack) => proto::TraceObservationPoint::ToStack,
            Event::Trace(ObservationPoint::FromEndpoint) => proto::TraceObservationPoint::FromEndpoint,
            Event::Drop(_) | Event::PolicyVerdict(_) => proto::TraceObservationPoint::UnknownPoint,
        }
    }

    /// Hubble's `TraceReason`; 0 for what is no trace.
    pub const fn trace_reason(self) -> i32 {
        match self.event {
            Event::Trace(_) => self.state as i32,
            Event::Drop(_) | Event::PolicyVerdict(_) => 0,
        }
    }

    /// Verdicts and drops name their policies; a trace has none, as in Hubble. A denial names the policies that
    /// isolate the pod, also where audit mode let the packet pass.
    pub const fn policy_list(self) -> Option<PolicyList> {
        if matches!(self.event, Event::Trace(_)) {
            return None;
        }
        Some(match (self.direction, self.verdict) {
            (Direction::Egress, Verdict::Forwarded) => PolicyList::EgressAllowed,
            (Direction::Ingress, Verdict::Forwarded) => PolicyList::IngressAllowed,
            (Direction::Egress, Verdict::Dropped | Verdict::Audit) => PolicyList::EgressDenied,
            (Direction::Ingress, Verdict::Dropped | Verdict::Audit) => PolicyList::IngressDenied,
        })
    }

    /// A number that no other sighting has, below 2^18.
    pub const fn number(self) -> u32 {
        let Self { event, verdict, state, direction, at_endpoint } = self;
        let event = match event {
            Event::Trace(point) => point as u32,
            Event::Drop(reason) => 1 << 8 | reason.0 as u32,
            Event::PolicyVerdict(match_type) => 2 << 8 | match_type as u32,
        };
        // the direction is 1 or 2
        event << 8
            | (verdict as u32) << 5
            | (state as u32) << 2
            | (direction as u32 - 1) << 1
            | at_endpoint as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use palomar_model::drop_reason::DropReason;
    use palomar_model::verdict::{ConnectionState, MatchType, ObservationPoint, Verdict};

    use super::*;

    #[test]
    fn every_sighting_has_a_number_of_its_own() {
        use ObservationPoint::{FromEndpoint, ToEndpoint, ToStack};
        let traces = [ToEndpoint, ToStack, FromEndpoint].map(Event::Trace);
        let verdicts = (0..=6).map(|number| Event::PolicyVerdict(MatchType::try_from(number).unwrap()));
        let drops = (0..=u8::MAX).map(|reason| Event::Drop(DropReason(reason)));
        let mut numbers = HashMap::new();
        for event in traces.into_iter().chain(verdicts).chain(drops) {
            for verdict in [Verdict::Forwarded, Verdict::Dropped, Verdict::Audit] {
                for state in (0..=4).map(|number| ConnectionState::try_from(number).unwrap()) {
                    for direction in Direction::BOTH {
                        for at_endpoint in [false, true] {
                            let sighting = Sighting { event, verdict, state, direction, at_endpoint };
                            assert_eq!(numbers.insert(sighting.number(), sighting), None);
                            assert!(sighting.number() < 1 << 18);
                        }
                    }
                }
            }
        }
        assert_eq!(numbers.len(), (3 + 7 + 256) * 3 * 5 * 2 * 2);
    }
}
