//! Why a flow was judged as it was, in a line.

use std::net::IpAddr;

use palomar_flow::view::{Address, EndpointView, FlowView, Side};
use palomar_manifest::ObjectKey;
use palomar_model::verdict::Direction;
use palomar_policy::explain::{Answer, DirectionAnswer, End, Index, Prober, Question, Verdict};
use palomar_proto::flow::{Flow, TraceReason};

use super::basis::{Basis, Moment};
use super::evidence::Evidence;
use super::flow::ends::{Directory, FlowEnd};
use super::flow::opening::{Opening, recorded};
use super::reason;

/// Says why, from one basis.
pub struct Why<'i, 'w> {
    basis: &'w Basis,
    directory: Directory<'w>,
    prober: Prober<'i, 'w>,
}

impl<'i, 'w> Why<'i, 'w> {
    /// From a basis and its index.
    pub fn new(basis: &'w Basis, index: &'i Index<'w>) -> Self {
        Self { basis, directory: Directory::new(&basis.manifests.world), prober: Prober::new(index) }
    }

    /// The deciding rules, or `cannot know: ` and the fact that is missing.
    pub fn of(&mut self, flow: &Flow) -> String {
        let evidence = Evidence::of(flow);
        let said = match question(flow, &self.directory, self.basis) {
            Asked::Question(question) => {
                let answer = self.prober.answer(&question);
                if self.prober.known_ends() > REMEMBERED {
                    self.prober.forget_ends();
                }
                let told = told(&answer, flow, self.basis);
                let beside = evidence.filter(|_| answer.verdict != Verdict::Undecidable);
                match beside.map(|evidence| evidence.beside(&answer).text) {
                    Some(beside) => format!("{told}; {beside}"),
                    None => told,
                }
            }
            Asked::Missing(fact) => format!("cannot know: {fact}"),
            Asked::Nothing(why) => why.to_owned(),
        };
        match evidence {
            Some(evidence) => format!("{}; {said}", evidence.text()),
            None => said,
        }
    }
}

/// Ends that are remembered.
const REMEMBERED: usize = 10_000;

/// What can be asked of a flow.
pub enum Asked {
    /// Its connection, as of its time.
    Question(Question),
    /// Nothing, for the want of this fact.
    Missing(String),
    /// Nothing: policies do not judge it.
    Nothing(&'static str),
}

/// The question that a flow was the answer to.
pub fn question(flow: &Flow, directory: &Directory<'_>, basis: &Basis) -> Asked {
    let (protocol, ports) = match Opening::of(flow, flow.trace_reason == i32::from(TraceReason::Related)) {
        Opening::Sender { protocol, ports } => (protocol, ports),
        Opening::Answer => {
            return Asked::Nothing("goes with its connection: it is let through where that is");
        }
        Opening::Unknown(fact) => return Asked::Missing(fact.to_owned()),
        Opening::None => return Asked::Nothing("policies do not judge it: it is of no connection"),
    };
    let (Some(from), Some(to)) =
        (find(flow, Side::Source, directory), find(flow, Side::Destination, directory))
    else {
        return Asked::Missing("its addresses: the flow does not tell them".to_owned());
    };
    let at_node = match (address(flow, Side::Destination), ports) {
        (Some(address), Some((_, port))) => directory.at_node(address, protocol, port),
        _ => Vec::new(),
    };
    let ends = [&from, &to].into_iter().filter_map(|end| end.object.as_ref());
    let ends: Vec<&ObjectKey> = ends.chain(&at_node).collect();
    if let Some(fact) = basis.changed_since(time(flow), &ends) {
        return Asked::Missing(fact);
    }
    match (from.end, to.end) {
        (Ok(from), Ok(to)) => {
            Asked::Question(Question { from, to, protocol, port: ports.map(|(_, destination)| destination) })
        }
        (Err(fact), _) | (_, Err(fact)) => Asked::Missing(fact),
    }
}

fn find(flow: &Flow, side: Side, directory: &Directory<'_>) -> Option<FlowEnd> {
    Some(directory.find(flow.endpoint(side), side, address(flow, side)?))
}

fn address(flow: &Flow, side: Side) -> Option<IpAddr> {
    match flow.address(side) {
        Address::Ip(address) => Some(address),
        Address::Text(text) => text.parse().ok(),
    }
}

/// When a flow was.
pub fn time(flow: &Flow) -> Moment {
    flow.time.as_ref().map_or((0, 0), |time| (time.seconds, time.nanos))
}

/// An end of a flow as people write it: the pod, else the end of the question.
pub fn end_name(flow: &Flow, side: Side, end: &End) -> String {
    match flow.endpoint(side).filter(|end| !end.pod_name().is_empty()) {
        Some(end) => format!("{}/{}", end.namespace(), end.pod_name()),
        None => end.to_string(),
    }
}

fn told(answer: &Answer<'_>, flow: &Flow, basis: &Basis) -> String {
    if answer.verdict == Verdict::Undecidable {
        let facts: Vec<String> = answer.missing.iter().map(ToString::to_string).collect();
        return format!("cannot know: {}", facts.join(" and "));
    }
    let place = |name: &_| basis.manifests.policy(name);
    let side = |direction: Direction, side: &DirectionAnswer<'_>| {
        let DirectionAnswer { verdict, isolated, by } = side;
        format!("{direction} {}", reason::of(*verdict, *isolated, by, direction, &place))
    };
    let both = [(Direction::Egress, &answer.egress), (Direction::Ingress, &answer.ingress)];
    let both = both.map(|(direction, answer)| side(direction, answer)).join("; ");
    match disagreement(answer, flow) {
        Some(recorded) => format!("{both}; but {recorded}"),
        None => both,
    }
}

/// What the flow says that policy did, where these policies do not say the same.
pub fn disagreement(answer: &Answer<'_>, flow: &Flow) -> Option<String> {
    let (side, is_allowed) = recorded(flow)?;
    let (direction, answer) = match side {
        Side::Source => (Direction::Egress, &answer.egress),
        Side::Destination => (Direction::Ingress, &answer.ingress),
    };
    let agrees = answer.verdict == Verdict::Undecidable || (answer.verdict == Verdict::Allowed) == is_allowed;
    let verdict = if is_allowed { "allowed" } else { "denied" };
    (!agrees).then(|| format!("the flow was recorded as {verdict} at {direction}"))
}
