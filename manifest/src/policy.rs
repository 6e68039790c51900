//! Network policies: the `policy` crate says what a valid one is; here its paths get their lines.

use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_policy::draft::{NetworkPolicyDraft, SpecDraft};
use palomar_policy::validate::Segment;

use crate::de;
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
    let spec = match fields.get("spec") {
        Some(at) => match de::read::<SpecDraft>(at.node, &at.path) {
            Ok(spec) => Some(spec),
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        },
        None => None,
    };
    match (NetworkPolicyDraft { name, spec }).validate() {
        Ok(policy) => (problems.0.len() == before).then_some(policy),
        Err(invalid) => {
            let line = line_of(root, invalid.field.segments());
            problems.push(Problem::new(
                line,
                fields.path_of(&invalid.field.to_string()),
                invalid.reason.to_string(),
            ));
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

/// The line of a field, or of the nearest mapping around it that exists.
fn line_of(root: &Node, path: &[Segment]) -> u32 {
    let (mut node, mut line) = (root, root.line);
    for segment in path {
        let key = match segment {
            Segment::Key(name) => Some(*name),
            Segment::Label(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        };
        let next = match (segment, &node.value) {
            (Segment::Index(index), Value::Seq(items)) => items.get(*index).map(|node| (node, node.line)),
            (_, Value::Map(entries)) => {
                let entry = entries.iter().find(|(other, _)| Some(&*other.text) == key);
                entry.map(|(key, node)| (node, key.line))
            }
            _ => None,
        };
        let Some(next) = next else { break };
        (node, line) = next;
    }
    line
}
