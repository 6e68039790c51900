//! What came out of a simulation, for people and for programs.

use std::fmt::Write;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::explain::Deciding;
use serde_json::{Value, json};

use super::super::manifests::{Manifests, Place, counted};
use super::super::question::protocol_name;
use super::super::reason;
use super::counted_flows;
use super::replay::{Becomes, Count, Decided, Decision, Group, Outcome};
use crate::render::escape::escape;

/// Missing facts that the text has; JSON has all.
const FACTS_SHOWN: usize = 10;

/// Where policies stand.
pub struct Places<'m> {
    pub before: &'m Manifests,
    pub after: &'m Manifests,
}

/// The whole text.
pub fn text(outcome: &Outcome<'_>, places: &Places<'_>) -> String {
    let mut lines = Lines::default();
    for (becomes, title) in [(Becomes::Denied, "Would be denied"), (Becomes::Allowed, "Would be allowed")] {
        lines.line(0, &format!("{title}: {}", counted_flows(outcome.changing(becomes))));
        for (group, count) in outcome.groups.iter().filter(|(group, _)| group.becomes == becomes) {
            lines.line(1, &title_of(group, *count));
            for side in &group.sides {
                let Decided { direction, before, after } = side;
                lines.line(
                    2,
                    &format!(
                        "{direction} now:  {}",
                        shown_decision(before, *direction, &|name| places.before.policy(name))
                    ),
                );
                lines.line(
                    2,
                    &format!(
                        "{direction} then: {}",
                        shown_decision(after, *direction, &|name| places.then(name))
                    ),
                );
            }
        }
    }
    let Outcome { allowed, denied, unknown, answers, of_none, recorded_otherwise, lost, unreadable, .. } =
        outcome;
    lines.line(0, &format!("Unchanged: {} allowed, {denied} denied", counted_flows(*allowed)));
    lines.line(0, &format!("Cannot know: {}", counted_flows(outcome.unjudged())));
    for (fact, count) in unknown.iter().take(FACTS_SHOWN) {
        lines.line(1, &format!("{}: {fact}", counted_flows(*count)));
    }
    if let Some(more) = unknown.len().checked_sub(FACTS_SHOWN).filter(|more| *more > 0) {
        lines.line(1, &format!("and {more} more facts, all of them with --output json"));
    }
    let notes = [
        (*answers, "replies and errors of connections, which go with them"),
        (*of_none, "of no connection that policies judge"),
        (
            *recorded_otherwise,
            "recorded with another verdict than the policies of now give: they, or labels, were others",
        ),
        (*lost, "lost before they were recorded: what they would be, nobody can know"),
        (*unreadable, "lines that could not be read"),
    ];
    for (count, note) in notes.into_iter().filter(|(count, _)| *count > 0) {
        lines.line(0, &format!("{count} {note}"));
    }
    lines.0
}

fn title_of(group: &Group<'_>, count: Count) -> String {
    let Group { becomes: _, from, to, protocol, port, sides: _ } = group;
    let connections = counted(usize::try_from(count.connections).unwrap_or(usize::MAX), "connection");
    format!("{from} -> {to}, {}: {} ({connections})", shown(*protocol, *port), counted_flows(count.flows))
}

fn shown(protocol: Protocol, port: Option<u16>) -> String {
    let name = protocol_name(protocol);
    port.map_or_else(|| name.to_owned(), |port| format!("{name} {port}"))
}

/// Why a direction is as it is.
fn shown_decision<'m>(
    decision: &Decision<'_>,
    direction: Direction,
    place: &dyn Fn(&ObjectName) -> Option<&'m Place>,
) -> String {
    let Decision { verdict, isolated, by } = decision;
    reason::of(*verdict, *isolated, by, direction, place)
}

/// The whole outcome.
pub fn json(outcome: &Outcome<'_>, places: &Places<'_>) -> Value {
    let Outcome { groups, allowed, denied, unknown, answers, of_none, recorded_otherwise, lost, unreadable } =
        outcome;
    let facts = unknown.iter().map(|(fact, flows)| json!({ "missing": fact, "flows": flows }));
    json!({
        "would_be_denied": outcome.changing(Becomes::Denied),
        "would_be_allowed": outcome.changing(Becomes::Allowed),
        "changes": groups.iter().map(|(group, count)| group_of(group, *count, places)).collect::<Vec<_>>(),
        "unchanged": { "allowed": allowed, "denied": denied },
        "cannot_know": { "flows": outcome.unjudged(), "facts": facts.collect::<Vec<_>>() },
        "replies": answers,
        "of_no_connection": of_none,
        "recorded_otherwise": recorded_otherwise,
        "lost": lost,
        "unreadable_lines": unreadable,
    })
}

fn group_of(group: &Group<'_>, count: Count, places: &Places<'_>) -> Value {
    let Group { becomes, from, to, protocol, port, sides } = group;
    let sides = sides.iter().map(|Decided { direction, before, after }| {
        json!({
            "direction": direction.to_string(),
            "before": decision(before, &|name| places.before.policy(name)),
            "after": decision(after, &|name| places.then(name)),
        })
    });
    json!({
        "verdict": match becomes { Becomes::Denied => "denied", Becomes::Allowed => "allowed" },
        "from": { "kind": from.kind, "name": from.name },
        "to": { "kind": to.kind, "name": to.name },
        "protocol": protocol_name(*protocol),
        "port": port,
        "flows": count.flows,
        "connections": count.connections,
        "decided_by": sides.collect::<Vec<_>>(),
    })
}

fn decision<'m>(decision: &Decision<'_>, place: &dyn Fn(&ObjectName) -> Option<&'m Place>) -> Value {
    let Decision { verdict, isolated, by } = decision;
    let by = by.iter().map(|Deciding { policy, rule }| {
        let place = place(policy);
        json!({
            "kind": "NetworkPolicy",
            "namespace": policy.namespace,
            "name": policy.name,
            "rule": rule,
            "file": place.map(|place| &place.file),
            "line": place.map(|place| place.line),
        })
    });
    json!({ "verdict": verdict.name(), "isolated": isolated, "by": by.collect::<Vec<_>>() })
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    /// A line at a depth of two columns each, harmless for a terminal.
    fn line(&mut self, depth: usize, line: &str) {
        let indent = depth * 2;
        writeln!(self.0, "{:indent$}{}", "", escape(line)).expect("invariant: a String takes everything");
    }
}

// === impl Places ===

impl<'m> Places<'m> {
    /// Where a policy stands after the change: in the new files, else where it stood.
    fn then(&self, name: &ObjectName) -> Option<&'m Place> {
        self.after.policy(name).or_else(|| self.before.policy(name))
    }
}
