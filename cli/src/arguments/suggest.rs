//! What may have been meant by a command that does not exist.

use strsim::levenshtein;

use super::commands::Command;

/// Names that differ in no more than so many letters are offered.
const DISTANCE: usize = 2;

/// The commands that are like `word` or begin with it, as text behind an error; empty if there is none.
pub fn suggestions(group: &Command, word: &str) -> String {
    let word = word.to_lowercase();
    let shown = group.commands.iter().filter(|command| !command.hidden);
    let alike = shown
        .filter(|command| command.name.starts_with(&word) || levenshtein(&word, command.name) <= DISTANCE);
    let lines: String = alike.flat_map(|command| ["\t", command.name, "\n"]).collect();
    if lines.is_empty() { lines } else { format!("\n\nDid you mean this?\n{lines}") }
}
