//! Flags to filters: what Hubble's CLI makes of them, row by row.

use crate::differences::Differences;
use crate::support::{fixture, palomar, words};

#[test]
fn filters_that_are_no_json_are_refused_in_the_words_of_gos_json() {
    let table = [
        ("drop", "invalid character 'd' looking for beginning of value"),
        ("{source_pod:1}", "invalid character 's' looking for beginning of object key string"),
        (r#"{"uuid":["a"]"#, "unexpected EOF"),
        (r#"{"uuid":["a"]} x"#, "invalid character 'x' looking for beginning of value"),
        (r#"{"uuid":["a"],}"#, "invalid character '}' looking for beginning of object key string"),
        ("tru", "unexpected EOF"),
        // JSON, and no filter
        ("true", "proto: syntax error (line 1:1): unexpected token true"),
        (r#"{"uuid":"a"}"#, r#"proto: syntax error (line 1:9): unexpected token "a""#),
    ];
    for (value, wanted) in table {
        let outcome = palomar(&["observe", "--print-raw-filters", "--denylist", value]).run();
        let wanted = format!("invalid --denylist flag: failed to decode '{value}': {wanted}\n");
        assert_eq!((outcome.code, outcome.err.replace('\u{a0}', " ")), (1, wanted));
    }
}

#[test]
fn every_recorded_command_line_makes_the_same_filters_or_the_same_error() {
    let recorded = fixture("raw-filters.txt");
    let differences = Differences::of("raw-filters.txt");
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in recorded.split("$ hubble observe").skip(1) {
        let (line, wanted) = row.split_once('\n').unwrap();
        rows += 1;
        // Go's protobuf writes this space in one of two ways, differently in each build
        let wanted = wanted.replace('\u{a0}', " ");
        let (wanted, code) = match wanted.trim_end().strip_suffix("[rc=1]") {
            Some(error) => (error.trim_end(), 1),
            None => (wanted.trim_end(), 0),
        };
        // the recorder gave two filters in one value
        let given = match line.strip_prefix(" --allowlist ").and_then(|rest| rest.split_once(" --")) {
            Some((value, rest)) => {
                let rest = words(&format!("--{rest}"));
                ["--allowlist".to_owned(), value.to_owned()].into_iter().chain(rest).collect()
            }
            None => words(line.strip_prefix(' ').unwrap_or(line)),
        };
        let all: Vec<String> =
            ["observe", "--print-raw-filters"].map(str::to_owned).into_iter().chain(given).collect();
        let outcome = palomar(&all).run();
        let text = if outcome.code == 0 { &outcome.out } else { &outcome.err };
        if !differences.is_as_listed(line.trim(), (text.trim_end(), outcome.code) == (wanted, code)) {
            wrong.push(format!(
                "{all:?}\n  wanted {code}: {wanted}\n  got    {}: {}",
                outcome.code,
                text.trim_end()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 110, "only {rows} rows were found");
    differences.end();
}
