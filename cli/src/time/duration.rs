//! Durations in Go's notation: `300ms`, `1h43m`, `-1.5h`; and, which Go has not, `2d` and `1w`.

use palomar_flow::go::quote::Quoted;
use thiserror::Error;

const UNITS: [(&str, i128); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Why a text is no duration; in Go's words, each with the text.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidDuration {
    /// Not of the form number and unit, or out of range.
    #[error("time: invalid duration {}", Quoted(.0))]
    Form(String),
    /// A number without its unit.
    #[error("time: missing unit in duration {}", Quoted(.0))]
    MissingUnit(String),
    /// A unit other than ns, us, ms, s, m, h, d, w.
    #[error("time: unknown unit {} in duration {}", Quoted(.unit), Quoted(.text))]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
}

/// Nanoseconds; negative if the text starts with a minus. The range is that of an `i64`, about 292 years.
pub fn parse_duration(text: &str) -> Result<i64, InvalidDuration> {
    let form = || InvalidDuration::Form(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(form());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = leading(rest, |c| c.is_ascii_digit() || c == '.');
        rest = &rest[number.len()..];
        let unit = leading(rest, |c| c != '.' && !c.is_ascii_digit());
        rest = &rest[unit.len()..];
        if !number.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        if unit.is_empty() {
            return Err(InvalidDuration::MissingUnit(text.to_owned()));
        }
        let size = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let size = size
            .ok_or_else(|| InvalidDuration::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() })?;
        total = scaled(number, size).and_then(|part| total.checked_add(part)).ok_or_else(form)?;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| form())
}

fn leading(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !wanted(c)).unwrap_or(text.len())]
}

/// A decimal number of units in nanoseconds, cut off below one. `None`: two points, or far out of range.
fn scaled(number: &str, size: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // more digits than these are below a nanosecond in every unit
    let fraction = &fraction[..fraction.len().min(18)];
    let part = if fraction.is_empty() {
        0
    } else {
        let digits: i128 = fraction.parse().ok()?;
        digits.checked_mul(size)? / 10_i128.pow(u32::try_from(fraction.len()).ok()?)
    };
    whole.checked_mul(size)?.checked_add(part)
}

/// Nanoseconds as Go prints a duration: `26h3m4.5s`, `1.5ms`, `0s`.
pub fn format_duration(nanos: u64) -> String {
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000, 6)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` with as many of `digits` decimals as are not zero at the end.
fn decimal(value: u64, unit: u64, digits: usize) -> String {
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_as_gos() {
        let table = [
            ("zero needs no unit", "0", Ok(0)),
            ("milliseconds", "300ms", Ok(300_000_000)),
            ("several units", "1h43m", Ok(6_180_000_000_000)),
            ("a fraction", "-1.5h", Ok(-5_400_000_000_000)),
            ("a fraction without a whole part", ".5s", Ok(500_000_000)),
            ("below a nanosecond", "0.0000000019s", Ok(1)),
            ("a week and two days of 24 hours", "1w2d", Ok(777_600_000_000_000)),
            ("half a day", ".5d", Ok(43_200_000_000_000)),
            ("no text", "", Err("time: invalid duration \"\"")),
            ("a point alone", ".s", Err("time: invalid duration \".s\"")),
            ("two points", "1.2.3s", Err("time: invalid duration \"1.2.3s\"")),
            ("words", "yesterday", Err("time: invalid duration \"yesterday\"")),
            ("no unit", "5", Err("time: missing unit in duration \"5\"")),
            ("years", "10y", Err("time: unknown unit \"y\" in duration \"10y\"")),
            ("out of range", "9999999h", Err("time: invalid duration \"9999999h\"")),
        ];
        for (what, text, wanted) in table {
            let parsed = parse_duration(text).map_err(|error| error.to_string());
            assert_eq!(parsed, wanted.map_err(str::to_owned), "{what}");
        }
    }

    #[test]
    fn durations_print_as_gos() {
        let table = [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (60_000_000_000, "1m0s"),
            (93_784_500_000_000, "26h3m4.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, wanted) in table {
            assert_eq!(format_duration(nanos), wanted);
        }
    }
}
