//! Lines of which not all is read print as if all were.

use std::sync::LazyLock;

use crate::support::{Outcome, fixture, palomar, words};
use proptest::prelude::*;

/// Lines as the stock CLI saves them, and as other programs write them.
static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let saved = fixture("flows-5k.jsonl.gz") + &fixture("json.txt");
    let others = fixture("flows.jsonl");
    saved.lines().chain(others.lines()).map(str::to_owned).collect()
});

fn observe(input: &str, words: &[&str]) -> Outcome {
    palomar(&[&["observe", "--input-file", "-"], words].concat()).input(input).run()
}

/// Without the times of the warnings.
fn without_times(err: &str) -> Vec<String> {
    err.lines().map(|line| line.split_once(" level=").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

prop_compose! {
    /// A line, perhaps with something else in one place.
    fn any_line()(
        at in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), length in 0..3_usize,
        instead in prop_oneof![
            3 => Just(None),
            2 => "[\\x20-\\x7e]{0,2}|[\"{}:,\\[\\]\\\\]{1,2}|0|null|\u{e9}|\\\\u001b|\\\\n".prop_map(Some),
        ],
    ) -> String {
        let line = &LINES[at.index(LINES.len())];
        let Some(instead) = instead else { return line.clone() };
        let mut start = place.index(line.len());
        while !line.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = (start + length).min(line.len());
        while !line.is_char_boundary(end) {
            end += 1;
        }
        format!("{}{instead}{}", &line[..start], &line[end..])
    }
}

/// The words of every recorded query, without those that are refused.
static FILTERS: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let recorded = fixture("filters-offline.txt");
    let rows = recorded.split("$ hubble observe --input-file F ").skip(1);
    let lines = rows.filter_map(|row| row.split_once('\n')).filter(|(_, result)| result.contains(" rc=0 "));
    let is_left_out = |word: &String| word == "--follow";
    lines.map(|(line, _)| words(line)).filter(|words| !words.iter().any(is_left_out)).collect()
});

/// The same line, of which no glance is enough: it is not exactly as the stock CLI writes it.
fn whole(line: &str) -> String {
    // a space would be a part of an escape that is cut off
    if line.ends_with('\\') { line.to_owned() } else { format!("{line} ") }
}

/// What is printed of the lines, and what is printed of them if each is read as a whole.
fn both(lines: &[String], words: &[&str]) -> [Outcome; 2] {
    let input = |line: &dyn Fn(&String) -> String| -> String {
        lines.iter().flat_map(|text| [line(text), "\n".to_owned()]).collect()
    };
    [observe(&input(&String::clone), words), observe(&input(&|line| whole(line)), words)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    #[test]
    fn what_a_glance_prints_is_what_the_whole_message_prints(
        lines in prop::collection::vec(any_line(), 1..8),
        format in prop::sample::select(vec!["compact", "dict", "table", "json"]),
        filter in prop::option::of(any::<prop::sample::Index>()),
        more in prop::sample::subsequence(
            vec!["--print-node-name", "--print-policy-names", "--numeric", "--color=always", "--time-format=RFC3339Nano",
                 "--since=2026-02-01", "--until=2026-03-04T05:06:30Z", "--last=2"], 0..4),
    ) {
        let filter = filter.map(|at| FILTERS[at.index(FILTERS.len())].clone()).unwrap_or_default();
        let given: Vec<&str> = filter.iter().map(String::as_str).collect();
        // a flag that the query has already would be a second one
        let more = if given.iter().any(|word| ["--last", "--first", "--since"].contains(word)) { vec![] } else { more };
        let words = [&["-o", format], given.as_slice(), more.as_slice()].concat();
        let [glance, whole] = both(&lines, &words);
        prop_assert_eq!(&glance.out, &whole.out);
        prop_assert_eq!(without_times(&glance.err), without_times(&whole.err));
        prop_assert_eq!(glance.code, whole.code);
    }
}

#[test]
fn the_goldens_print_the_same_at_a_glance_and_as_whole_messages() {
    for format in ["compact", "dict", "table", "json"] {
        let words = ["-o", format, "--print-node-name", "--print-policy-names"];
        let [glance, whole] = both(&LINES, &words);
        assert!(glance.out == whole.out, "{format}");
        assert_eq!(glance.err, whole.err, "{format}");
    }
}

#[test]
fn every_recorded_filter_says_the_same_at_a_glance_and_of_whole_messages() {
    let lines = &LINES[4_700..];
    let mut matching = 0;
    for filter in FILTERS.iter() {
        let words: Vec<&str> = filter.iter().map(String::as_str).collect();
        let [glance, whole] = both(lines, &[words.as_slice(), &["-o", "json"]].concat());
        assert_eq!((whole.code, &glance.out), (0, &whole.out), "{words:?}: {}", whole.err);
        matching += usize::from(!whole.out.is_empty());
    }
    assert!(FILTERS.len() > 90 && matching > 80, "{matching} of {}", FILTERS.len());
}
