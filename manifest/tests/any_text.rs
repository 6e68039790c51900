//! Whatever a file holds, reading it ends, and never with a panic.

use std::ops::Range;

use palomar_manifest::parse;
use proptest::prelude::*;
use proptest::sample::Index;

const TABLE: &str = include_str!("table.yaml");

/// A piece of the table taken out, and something put in its place.
fn damage() -> impl Strategy<Value = (Index, Index, String)> {
    let words = prop::sample::select(vec![
        "",
        " ",
        "\n",
        "\t",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "!!str ",
        "---\n",
        "...",
        "<<: ",
        "null",
        "\"",
        "'",
        "|",
        ">",
        "? ",
        "#",
        "%YAML",
        "1e999",
        "\u{feff}",
        "\0",
        "items:",
        "metadata:",
        "9999999999999999999",
    ]);
    (any::<Index>(), any::<Index>(), words.prop_map(str::to_owned))
}

fn span(from: Index, to: Index) -> Range<usize> {
    let from = from.index(TABLE.len());
    // Most damage is small.
    let to = (from + to.index(20)).min(TABLE.len());
    from..to
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 5 / 4))]

    #[test]
    fn a_damaged_file_is_good_or_refused_whole(damages in prop::collection::vec(damage(), 1..4)) {
        let mut text = TABLE.to_owned();
        for (from, to, word) in damages {
            let span = span(from, to);
            if text.is_char_boundary(span.start) && text.is_char_boundary(span.end.min(text.len())) {
                let end = span.end.min(text.len());
                text.replace_range(span.start.min(end)..end, &word);
            }
        }
        let manifest = parse("damaged.yaml", &text);
        prop_assert!(manifest.errors.is_empty() || manifest.objects.is_empty());
        for error in &manifest.errors {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
        for object in &manifest.objects {
            prop_assert!(manifest.named.contains(&object.key));
            prop_assert_eq!(parse("source", &object.source).errors, vec![]);
        }
    }

    #[test]
    fn any_text_at_all_is_read_without_a_panic(text in "\\PC{0,200}") {
        let _ = parse("any", &text);
    }
}
