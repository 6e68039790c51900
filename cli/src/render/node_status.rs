//! What a relay tells about its nodes.

use std::io::{self, Write};

use palomar_flow::go::quote::Quoted;
use palomar_proto::relay::{NodeState, NodeStatusEvent};

use super::dict::{RULE, field};
use super::escape::escape;
use super::event::enum_name;
use super::printer::{Envelope, Options};

/// A list of nodes is cut before the name that would make it longer than this, separators included.
const NAMES_LENGTH: usize = 50;
const SEPARATOR: &str = ", ";

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
    write!(out, "{} [{}]: ", options.time.text(envelope.time), escape(envelope.node_name))?;
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

/// Writes one field a line, below a rule if anything was written before.
pub fn dict(
    out: &mut impl Write,
    options: Options,
    status: &NodeStatusEvent,
    envelope: Envelope<'_>,
    is_first: bool,
) -> io::Result<()> {
    if !is_first {
        writeln!(out, "{RULE}")?;
    }
    field(out, "TIMESTAMP", &options.time.text(envelope.time))?;
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
    let mut length = 0;
    let fitting = all.iter().take_while(|name| {
        length += name.len() + SEPARATOR.len();
        length <= NAMES_LENGTH
    });
    let shown = fitting.count().max(1).min(all.len());
    let names: Vec<_> = all[..shown].iter().map(|name| escape(name)).collect();
    match all.len() - shown {
        0 => names.join(SEPARATOR),
        more => format!("{} (and {more} more)", names.join(SEPARATOR)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word of Ns by its length.
    fn counted(word: &str) -> String {
        let rest = word.trim_start_matches('N');
        if rest.len() == word.len() { word.to_owned() } else { format!("{}{rest}", word.len() - rest.len()) }
    }

    #[test]
    fn long_lists_are_cut_where_hubble_cuts_them() {
        let table: [(&[usize], &str); 6] = [
            (&[], ""),
            (&[60], "60"),
            (&[60, 1], "60 (and 1 more)"),
            // a separator counts for each name, the last one as well
            (&[20, 26], "20, 26"),
            (&[20, 27], "20 (and 1 more)"),
            (&[20, 20, 20], "20, 20 (and 1 more)"),
        ];
        for (lengths, wanted) in table {
            let all: Vec<String> = lengths.iter().map(|length| "N".repeat(*length)).collect();
            let shown: Vec<String> = names(&all).split(' ').map(counted).collect();
            assert_eq!(shown.join(" "), wanted, "{lengths:?}");
        }
    }
}
