//! What a plain YAML scalar means.

use std::sync::Arc;

use crate::tree::Value;

/// The value of an unquoted scalar, as the YAML reader of `kubectl` takes it: that is YAML 1.1 for booleans (`yes`,
/// `on`, `y`), so a label value of that kind must be quoted there, and here.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::Str(Arc::from(text)))
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Value::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Value::Float(f64::NAN));
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let digits = text.replace('_', "");
    let sign = if digits.starts_with('-') { -1 } else { 1 };
    let magnitude = digits.trim_start_matches(['-', '+']);
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = magnitude.strip_prefix(prefix) {
            // Rust would take a second sign here.
            let digits = Some(rest).filter(|rest| !rest.starts_with(['-', '+']));
            return digits
                .and_then(|digits| i64::from_str_radix(digits, radix).ok())
                .map(|n| Value::Int(sign * n));
        }
    }
    // In YAML 1.1 a leading zero means octal.
    let is_octal = magnitude.len() > 1
        && magnitude.starts_with('0')
        && magnitude.bytes().all(|byte| byte.is_ascii_digit());
    if is_octal && let Ok(number) = i64::from_str_radix(magnitude, 8) {
        return Some(Value::Int(sign * number));
    }
    if let Ok(number) = digits.parse() {
        return Some(Value::Int(number));
    }
    let is_decimal =
        magnitude.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if is_decimal { digits.parse().ok().map(Value::Float) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_kubectl_takes_them_for() {
        let table = [
            ("nothing", "", Value::Null),
            ("a tilde", "~", Value::Null),
            ("a boolean", "true", Value::Bool(true)),
            ("a boolean of YAML 1.1", "off", Value::Bool(false)),
            ("an integer", "8080", Value::Int(8080)),
            ("a negative integer", "-1", Value::Int(-1)),
            ("hexadecimal", "0x1F", Value::Int(31)),
            ("octal of YAML 1.1", "0644", Value::Int(420)),
            ("a leading zero that is not octal", "0899", Value::Int(899)),
            ("a decimal", "1.5", Value::Float(1.5)),
            ("an exponent", "1e3", Value::Float(1000.0)),
            ("an address", "10.0.0.1", Value::Str("10.0.0.1".into())),
            ("a range", "10.0.0.0/8", Value::Str("10.0.0.0/8".into())),
            ("a date", "2026-11-22", Value::Str("2026-11-22".into())),
            ("a word", "web", Value::Str("web".into())),
            ("a dot", ".", Value::Str(".".into())),
            ("a sign", "-", Value::Str("-".into())),
            ("a word that Rust reads as a number", "inf", Value::Str("inf".into())),
            ("another one", "nan", Value::Str("nan".into())),
            ("a signed prefix inside", "0x-5", Value::Str("0x-5".into())),
        ];
        for (name, text, expected) in table {
            assert_eq!(resolve(text), expected, "{name}");
        }
    }
}
