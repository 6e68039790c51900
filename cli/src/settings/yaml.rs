//! YAML as Go's `yaml.v3` writes it: keys sorted, four spaces of indentation, quotes only where they are needed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

/// Keys with their values, one a line.
pub fn document(values: &BTreeMap<String, Value>) -> String {
    if values.is_empty() {
        return "{}\n".to_owned();
    }
    let mut out = String::new();
    for (key, value) in values {
        out.push_str(&scalar(key));
        out.push(':');
        below(value, 1, &mut out);
    }
    out
}

/// One value.
pub fn value(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => members(map, 0, &mut out),
        Value::Array(values) if !values.is_empty() => items(values, 0, &mut out),
        value => {
            out.push_str(&flow(value));
            out.push('\n');
        }
    }
    out
}

/// What stands behind a key: on its line, or below it.
fn below(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            members(map, depth, out);
        }
        Value::Array(values) if !values.is_empty() => {
            out.push('\n');
            items(values, depth, out);
        }
        value => {
            out.push(' ');
            out.push_str(&flow(value));
            out.push('\n');
        }
    }
}

fn members(map: &serde_json::Map<String, Value>, depth: usize, out: &mut String) {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    for (key, value) in sorted {
        let _ = write!(out, "{:indent$}{}:", "", scalar(key), indent = depth * 4);
        below(value, depth + 1, out);
    }
}

fn items(values: &[Value], depth: usize, out: &mut String) {
    for value in values {
        let _ = write!(out, "{:indent$}-", "", indent = depth * 4);
        below(value, depth + 1, out);
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => scalar(text),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// A text: plain where it reads as the same text, else in quotes.
pub fn scalar(text: &str) -> String {
    if text.chars().any(is_special) || is_other_type(text) {
        double_quoted(text)
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Whether a character can only be written as an escape.
fn is_special(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
        || crate::render::escape::turns_writing(c)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_special(c) && u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c if is_special(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c| "#,[]{}&*!|>'\"%@`".contains(c))
        || ["-", "?", ":"].iter().any(|sign| text == *sign || text.starts_with(&format!("{sign} ")))
        || ["---", "..."].iter().any(|sign| text.starts_with(sign));
    let inside = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    !begins && !inside && text.trim() == text
}

/// Whether a plain text would read as something else than a text, to this version of YAML or an older one.
fn is_other_type(text: &str) -> bool {
    const WORDS: [&str; 15] =
        ["", "~", "null", "true", "false", "y", "n", "yes", "no", "on", "off", "<<", ".inf", "-.inf", ".nan"];
    let lower = text.to_lowercase();
    WORDS.contains(&lower.as_str())
        || lower == "+.inf"
        || is_number(text)
        || is_date(text)
        || is_base_60(text)
}

fn is_number(text: &str) -> bool {
    let digits = text.replace('_', "");
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(&digits);
    let radix = |prefix: &str, radix: u32| {
        unsigned
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    let is_decimal = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().any(|c| c.is_ascii_digit())
        && unsigned.parse::<f64>().is_ok();
    is_decimal || radix("0x", 16) || radix("0o", 8) || radix("0b", 2)
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
        && bytes.iter().all(|byte| byte.is_ascii_digit() || b"-:.+TtZz ".contains(byte))
}

/// `1:20`, which was eighty.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let is_first = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit()) && part.chars().all(|c| c.is_ascii_digit() || c == '_')
    };
    let is_next = |part: &str| {
        let whole = part.split('.').next().unwrap_or_default();
        matches!(whole.len(), 1 | 2) && whole.parse::<u8>().is_ok_and(|number| number < 60)
    };
    unsigned.contains(':') && parts.next().is_some_and(is_first) && parts.all(is_next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_quoted_where_they_would_read_as_something_else() {
        let table = [
            ("localhost:4245", "localhost:4245"),
            ("unix:///run/p.sock", "unix:///run/p.sock"),
            ("5s", "5s"),
            ("", "\"\""),
            ("true", "\"true\""),
            ("No", "\"No\""),
            ("4245", "\"4245\""),
            ("1e3", "\"1e3\""),
            ("0x1f", "\"0x1f\""),
            ("2026-03-04", "\"2026-03-04\""),
            ("1:20", "\"1:20\""),
            ("[::1]:4245", "'[::1]:4245'"),
            ("{\"verdict\":[\"DROPPED\"]}", "'{\"verdict\":[\"DROPPED\"]}'"),
            ("it's", "it's"),
            ("'it", "'''it'"),
            ("a: b", "'a: b'"),
            ("a #b", "'a #b'"),
            (" a", "' a'"),
            ("-", "'-'"),
            ("a\nb\x1b", "\"a\\nb\\x1B\""),
        ];
        for (text, wanted) in table {
            assert_eq!(scalar(text), wanted, "{text}");
        }
    }

    #[test]
    fn values_are_laid_out_as_go_lays_them_out() {
        let values = json!({ "b": ["x", "y"], "a": true, "c": [], "d": { "e": 1, "f": null } });
        let values: BTreeMap<String, Value> = values.as_object().unwrap().clone().into_iter().collect();
        let wanted = "a: true\nb:\n    - x\n    - \"y\"\nc: []\nd:\n    e: 1\n    f: null\n";
        assert_eq!(document(&values), wanted);
        assert_eq!(value(&json!(["x"])), "- x\n");
        assert_eq!(value(&json!(5)), "5\n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(text in ".{0,12}", word in "[-0-9a-zA-Z:_.#'\"\\[{,? ]{0,8}") {
            for text in [text, word] {
                let values = BTreeMap::from([("key".to_owned(), Value::String(text.clone()))]);
                let read: BTreeMap<String, Value> = serde_saphyr::from_str(&document(&values)).unwrap();
                prop_assert_eq!(&read["key"], &Value::String(text));
            }
        }
    }
}
