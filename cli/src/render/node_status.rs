//! What a relay tells about its nodes.

use std::io::{self, Write};

use palomar_flow::go::quote::Quoted;
use palomar_proto::relay::{NodeState, NodeStatusEvent};

use super::dict::{RULE, field};
use super::escape::escape;
use super::event::enum_name;
use super::printer::{Envelope, Options};

/// A list of nodes is cut before the name that would make it longer than this.
const NAMES_LENGTH: usize = 50;

/// Whether a user wants to know without having asked for details.
pub fn is_trouble(status: &NodeStatusEvent) -> bool {
    matches!(NodeState::try_from(status.state_change), Ok(NodeState::NodeUnavailable | NodeState::NodeError))
}

/// Writes one line.
pub fn line(
    out: &mut impl Write,
    options: Options,
    status: &NodeStatusEvent,
    envelope: Envelope<'_>,
) -> io::Result<()> {
    let (count, names) = (status.node_names.len(), names(&status.node_names));
    write!(out, "{} [{}]: ", options.time.print(envelope.time), escape(envelope.node_name))?;
    match NodeState::try_from(status.state_change) {
        Ok(NodeState::NodeConnected) => writeln!(out, "Receiving flows from {count} nodes: {names}"),
        Ok(NodeState::NodeUnavailable) => writeln!(out, "{count} nodes are unavailable: {names}"),
        Ok(NodeState::NodeGone) => writeln!(out, "{count} nodes removed from cluster: {names}"),
        Ok(NodeState::NodeError) => {
            writeln!(out, "Error {} on {count} nodes: {names}", Quoted(&status.message))
        }
        Ok(NodeState::UnknownNodeState) | Err(_) => {
            writeln!(out, "unknown state {} of {count} nodes: {names}", status.state_change)
        }
    }
}

/// Writes one field a line.
pub fn dict(
    out: &mut impl Write,
    options: Options,
    status: &NodeStatusEvent,
    envelope: Envelope<'_>,
) -> io::Result<()> {
    writeln!(out, "{RULE}")?;
    field(out, "TIMESTAMP", &options.time.print(envelope.time))?;
    field(out, "STATE", &enum_name(status.state_change, NodeState::as_str_name))?;
    field(out, "NODES", &names(&status.node_names))?;
    let message = match status.message.as_str() {
        "" => "N/A".to_owned(),
        message => Quoted(message).to_string(),
    };
    field(out, "MESSAGE", &message)
}

/// The first names, at least one, and how many more there are.
fn names(all: &[String]) -> String {
    let mut shown = String::new();
    for (at, name) in all.iter().enumerate() {
        if at > 0 {
            if shown.len() + name.len() > NAMES_LENGTH {
                return format!("{shown} (and {} more)", all.len() - at);
            }
            shown.push_str(", ");
        }
        shown.push_str(&escape(name));
    }
    shown
}
