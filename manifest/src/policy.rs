//! Network policies: the `policy` crate says what a valid one is; here its paths get their lines, and everything that is
//! wrong is told at once, as the API server does.

use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_policy::draft::{NetworkPolicyDraft, SpecDraft};
use palomar_policy::validate::{Fault, FieldPath, InvalidPolicy, Segment};

use crate::de::{self, Skipped};
use crate::error::Problem;
use crate::fields::{Fields, Problems, unknown_field};
use crate::tree::{Node, Value};

const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Reads a policy; every unknown field outside `metadata` is an error.
pub(crate) fn read(
    name: ObjectName,
    root: &Node,
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<NetworkPolicy> {
    let before = problems.0.len();
    unknown_fields(root, fields, problems);
    let (spec, skipped) = match fields.get("spec") {
        Some(at) => {
            let (spec, skipped) = de::read_leaving_out::<SpecDraft>(at.node, &at.path, problems)?;
            (Some(spec), skipped)
        }
        None => (None, Skipped::default()),
    };
    match (NetworkPolicyDraft { name, spec }).validate() {
        Ok(policy) => (problems.0.len() == before).then_some(policy),
        Err(InvalidPolicy { faults }) => {
            for Fault { field, reason } in faults {
                let Place { field, line, is_near_skipped } = Place::of(&field, root, &skipped);
                if !(reason.is_absence() && is_near_skipped) {
                    let path = fields.path_of(&field.to_string());
                    problems.push(Problem::new(line, path, reason.to_string()));
                }
            }
            None
        }
    }
}

fn unknown_fields(root: &Node, fields: &Fields<'_>, problems: &mut Problems) {
    let Value::Map(entries) = &root.value else { return };
    for (key, _) in entries.iter().filter(|(key, _)| !FIELDS.contains(&&*key.text)) {
        let reason = unknown_field(&key.text, &FIELDS);
        problems.push(Problem::new(key.line, fields.path_of(&key.text), reason));
    }
}

/// Where a field of a policy stands in its text.
struct Place {
    /// As it is counted in the text, what was skipped included.
    field: FieldPath,
    /// Its line, or that of the nearest mapping around it that exists.
    line: u32,
    /// Whether something in it or beside it was skipped, which may be what is missing, misspelt.
    is_near_skipped: bool,
}

// === impl Place ===

impl Place {
    fn of(field: &FieldPath, root: &Node, skipped: &Skipped) -> Self {
        let (mut around, mut node, mut line) = (None, Some(root), root.line);
        let segments = field.segments().iter().map(|segment| {
            around = node;
            let found = node.and_then(|node| step(node, segment, skipped));
            node = found.as_ref().map(|found| found.node);
            line = found.as_ref().map_or(line, |found| found.line);
            found.map_or_else(|| segment.clone(), |found| found.segment)
        });
        let field = segments.collect();
        let is_near_skipped = [around, node].into_iter().flatten().any(|node| holds_skipped(node, skipped));
        Self { field, line, is_near_skipped }
    }
}

/// One step into a tree.
struct Step<'a> {
    node: &'a Node,
    line: u32,
    segment: Segment,
}

fn step<'a>(node: &'a Node, segment: &Segment, skipped: &Skipped) -> Option<Step<'a>> {
    let name = match segment {
        Segment::Key(name) => *name,
        Segment::Label(name) => name.as_str(),
        Segment::Index(index) => {
            let Value::Seq(items) = &node.value else { return None };
            let mut taken = items.iter().enumerate().filter(|(_, node)| !skipped.has(node));
            let (index, node) = taken.nth(*index)?;
            return Some(Step { node, line: node.line, segment: Segment::Index(index) });
        }
    };
    let Value::Map(entries) = &node.value else { return None };
    let (key, node) = entries.iter().find(|(key, _)| &*key.text == name)?;
    Some(Step { node, line: key.line, segment: segment.clone() })
}

fn holds_skipped(node: &Node, skipped: &Skipped) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().any(|(_, node)| skipped.has(node)),
        Value::Seq(items) => items.iter().any(|node| skipped.has(node)),
        _ => false,
    }
}
