//! What may have been meant by a command or a flag that does not exist.

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
    told(alike.map(|command| ["\t", command.name, "\n"]))
}

/// The long flags of a command, or of all under `root`, that are like `word`; as [`suggestions`].
pub fn flags(root: &Command, command: &Command, word: &str) -> String {
    // of few letters, too much is alike
    let distance = if word.len() > 2 * DISTANCE { DISTANCE } else { word.len() / 2 };
    let groups = command.flags.iter().chain(root.shared);
    let flags = groups.flat_map(|group| group.flags);
    let alike = flags.filter(|flag| levenshtein(word, flag.long) <= distance);
    told(alike.map(|flag| ["\t--", flag.long, "\n"]))
}

fn told<'t>(lines: impl Iterator<Item = [&'t str; 3]>) -> String {
    let lines: String = lines.flatten().collect();
    if lines.is_empty() { lines } else { format!("\n\nDid you mean this?\n{lines}") }
}
