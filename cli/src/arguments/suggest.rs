//! What may have been meant by a command that does not exist.

use super::commands::Command;

/// Names that differ in no more than so many letters are offered.
const DISTANCE: usize = 2;

/// The commands that are like `word` or begin with it, as text behind an error; empty if there is none.
pub fn suggestions(group: &Command, word: &str) -> String {
    let word = word.to_lowercase();
    let shown = group.commands.iter().filter(|command| !command.hidden);
    let alike =
        shown.filter(|command| command.name.starts_with(&word) || distance(&word, command.name) <= DISTANCE);
    let lines: String = alike.flat_map(|command| ["\t", command.name, "\n"]).collect();
    if lines.is_empty() { lines } else { format!("\n\nDid you mean this?\n{lines}") }
}

/// How many letters have to be put in, left out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut row = vec![at + 1];
        for (column, wanted) in other.iter().enumerate() {
            let changed = above[column] + usize::from(letter != *wanted);
            row.push(changed.min(above[column + 1] + 1).min(row[column] + 1));
        }
        above = row;
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (one, other, wanted) in [
            ("", "abc", 3),
            ("status", "status", 0),
            ("statsu", "status", 2),
            ("ab", "xaby", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), wanted, "{one} and {other}");
        }
    }
}
