//! Lines of which not all is read print as if all were.

use std::sync::LazyLock;

use crate::support::{Outcome, fixture, palomar};
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_glance_prints_is_what_the_whole_message_prints(
        lines in prop::collection::vec(any_line(), 1..8),
        format in prop::sample::select(vec!["compact", "dict", "table", "json"]),
        more in prop::sample::subsequence(
            vec!["--print-node-name", "--print-policy-names", "--numeric", "--color=always", "--time-format=RFC3339Nano",
                 "--since=2026-02-01", "--until=2026-03-04T05:06:30Z", "--last=2"], 0..4),
    ) {
        let input: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let words = [&["-o", format], more.as_slice()].concat();
        let glance = observe(&input, &words);
        // a filter that everything matches wants to see all of each line
        let whole = observe(&input, &[words.as_slice(), &["--allowlist", "{}"]].concat());
        prop_assert_eq!(&glance.out, &whole.out);
        prop_assert_eq!(without_times(&glance.err), without_times(&whole.err));
        prop_assert_eq!(glance.code, whole.code);
    }
}

#[test]
fn the_goldens_print_the_same_at_a_glance_and_as_whole_messages() {
    let input: String = LINES.iter().flat_map(|line| [line, "\n"]).collect();
    for format in ["compact", "dict", "table", "json"] {
        let words = ["-o", format, "--print-node-name", "--print-policy-names"];
        let glance = observe(&input, &words);
        let whole = observe(&input, &[&words[..], &["--allowlist", "{}"]].concat());
        assert!(glance.out == whole.out, "{format}");
        assert_eq!(glance.err, whole.err, "{format}");
    }
}
