//! "Did you mean …?": the nearest of the valid choices to a word that is none of them.

/// The choice that `word` is most likely a slip of: the same but for upper and lower case, or one edit away (two
/// for words of six letters and more). `None` where no choice is near, or where `word` is itself a choice.
pub(crate) fn nearest<'a>(word: &str, choices: &[&'a str]) -> Option<&'a str> {
    // A word far longer than any choice cannot be near one; this bounds the work on hostile words.
    if word.len() > 64 || choices.contains(&word) {
        return None;
    }
    choices
        .iter()
        .filter_map(|choice| Some((slip_distance(word, choice)?, *choice)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

fn slip_distance(word: &str, choice: &str) -> Option<usize> {
    if word.eq_ignore_ascii_case(choice) {
        return Some(0);
    }
    let allowed = match choice.len() {
        0..=3 => 0,
        4 | 5 => 1,
        _ => 2,
    };
    // as many edits as that are needed in any case
    if allowed == 0 || word.len().abs_diff(choice.len()) > allowed {
        return None;
    }
    let distance = edits(&word.to_ascii_lowercase(), &choice.to_ascii_lowercase());
    (distance <= allowed).then_some(distance)
}

/// Inserted, deleted, replaced and swapped neighbouring bytes between two words.
fn edits(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for row in 1..=from.len() {
        let mut current = vec![row];
        for column in 1..=to.len() {
            let same = from[row - 1] == to[column - 1];
            let mut best =
                (last[column] + 1).min(current[column - 1] + 1).min(last[column - 1] + usize::from(!same));
            let swapped =
                row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1];
            if swapped {
                best = best.min(before_last[column - 2] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_meant_word_and_other_words_find_nothing() {
        let table = [
            ("two letters swapped", "lables", &["labels", "name"][..], Some("labels")),
            ("two letters swapped in a long word", "hostNetwrok", &["hostNetwork"], Some("hostNetwork")),
            ("a wrong letter", "podSelecter", &["podSelector", "ingress"], Some("podSelector")),
            ("upper and lower case", "podIp", &["podIP", "podIPs"], Some("podIP")),
            ("a missing letter", "ingres", &["ingress", "egress"], Some("ingress")),
            ("the nearer of two", "egres", &["ingress", "egress"], Some("egress")),
            ("another word", "annotations", &["labels", "name"], None),
            ("a short word asks for the same letters", "pid", &["uid"], None),
            ("the word itself", "labels", &["labels"], None),
            ("the empty word", "", &["uid", "labels"], None),
        ];
        for (name, word, choices, expected) in table {
            assert_eq!(nearest(word, choices), expected, "{name}");
        }
    }

    #[test]
    fn edits_count_swaps_as_one() {
        assert_eq!(edits("abcd", "abdc"), 1);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
