//! Values of flags, read as Go reads them and refused in its words.

use std::time::Duration;

use palomar_flow::go::quote::Quoted;

use super::declare::Kind;
use crate::time::parse_duration;

/// Refuses a value that is not of the kind.
pub fn check(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Text | Kind::List | Kind::Filter | Kind::Mark => Ok(()),
        Kind::Number => parse_number(value).map(drop),
        Kind::Port => parse_port(value).map(drop),
        Kind::Duration => parse_wait(value).map(drop),
        Kind::Switch | Kind::Toggle => parse_bool(value).map(drop),
    }
}

/// `true`, `false`, and what Go takes for them.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(number_error("ParseBool", text, "invalid syntax")),
    }
}

/// A duration that is not negative.
pub fn parse_wait(text: &str) -> Result<Duration, String> {
    let nanos = parse_duration(text).map_err(|error| error.to_string())?;
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| "a negative duration".to_owned())
}

/// A port, or zero; written as [`parse_number`] takes it.
pub fn parse_port(text: &str) -> Result<u16, String> {
    let out_of_range = |_| number_error("ParseUint", text, "value out of range");
    u16::try_from(parse_number(text)?).map_err(out_of_range)
}

/// A number as Go's flags take it: decimal, or with `0x`, `0b`, `0o` or `0` before it, and underscores between digits.
pub fn parse_number(text: &str) -> Result<u64, String> {
    let invalid = || number_error("ParseUint", text, "invalid syntax");
    let (radix, digits) = split_radix(text);
    let digits = without_underscores(text, digits).ok_or_else(invalid)?;
    from_digits(text, &digits, radix)
}

/// A decimal number without sign; the error is Go's.
pub fn parse_decimal(text: &str) -> Result<u64, String> {
    from_digits(text, text, 10)
}

fn from_digits(text: &str, digits: &str, radix: u32) -> Result<u64, String> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(number_error("ParseUint", text, "invalid syntax"));
    }
    u64::from_str_radix(digits, radix).map_err(|_| number_error("ParseUint", text, "value out of range"))
}

fn split_radix(text: &str) -> (u32, &str) {
    let prefixes = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)];
    prefixes
        .into_iter()
        .find_map(|(prefix, radix)| Some((radix, text.strip_prefix(prefix)?)))
        .or_else(|| Some((8, text.strip_prefix('0').filter(|digits| !digits.is_empty())?)))
        .unwrap_or((10, text))
}

/// Underscores may stand between two digits, and between a radix and the first digit.
fn without_underscores(text: &str, digits: &str) -> Option<String> {
    let is_prefixed = digits.len() < text.len();
    let is_misplaced =
        digits.ends_with('_') || digits.contains("__") || (digits.starts_with('_') && !is_prefixed);
    (!is_misplaced).then(|| digits.replace('_', ""))
}

fn number_error(function: &str, text: &str, reason: &str) -> String {
    format!("strconv.{function}: parsing {}: {reason}", Quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_a_radix_and_underscores() {
        let syntax = |text: &str| Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
        let range = |text: &str| Err(format!("strconv.ParseUint: parsing {text:?}: value out of range"));
        let table = [
            ("12", Ok(12)),
            ("0", Ok(0)),
            ("0x1F", Ok(31)),
            ("0b101", Ok(5)),
            ("0o17", Ok(15)),
            ("017", Ok(15)),
            ("1_000", Ok(1000)),
            ("0x_ff", Ok(255)),
            ("0_7", Ok(7)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", range("18446744073709551616")),
            ("", syntax("")),
            ("-1", syntax("-1")),
            ("+1", syntax("+1")),
            ("_1", syntax("_1")),
            ("1_", syntax("1_")),
            ("1__0", syntax("1__0")),
            ("0x", syntax("0x")),
            ("08", syntax("08")),
            ("5 ", syntax("5 ")),
        ];
        for (text, wanted) in table {
            assert_eq!(parse_number(text), wanted, "{text}");
        }
        assert_eq!(parse_decimal("0x1"), syntax("0x1"));
        assert_eq!(parse_port("65536").map(u64::from), range("65536"));
    }
}
