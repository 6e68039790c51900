//! Where one metric of a list ends and the next begins.

use super::metric::is_name;

/// The texts of the metrics of a list.
pub fn metrics(list: &str) -> impl Iterator<Item = &str> {
    list.split_whitespace().flat_map(cut).filter(|text| !text.is_empty())
}

/// Cuts a word at the commas that are not part of an option.
fn cut(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in word.match_indices(',') {
        let has_options = word[start..at].contains(':');
        if !has_options || begins_with_a_name(&word[at + 1..]) {
            parts.push(&word[start..at]);
            start = at + 1;
        }
    }
    parts.push(&word[start..]);
    parts
}

fn begins_with_a_name(text: &str) -> bool {
    text.split([',', ':']).next().is_some_and(is_name)
}
