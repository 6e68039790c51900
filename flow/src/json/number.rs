//! Numbers in JSON, as Go writes and reads them.

/// Appends a floating-point number: shortest digits, an exponent below 1e-6 and from 1e21.
pub(super) fn write_double(number: f64, out: &mut String) {
    if number.is_nan() {
        return out.push_str("\"NaN\"");
    }
    if number.is_infinite() {
        return out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        out.extend([digits, "e", sign, exponent]);
    } else {
        out.push_str(&number.to_string());
    }
}

/// The integer that a JSON number stands for, also where it is written with a fraction or an exponent (`1e3`,
/// `2.0`); `None` if it is no integer or fits no 128 bits.
pub(super) fn parse_integer(text: &str) -> Option<i128> {
    if let Ok(integer) = text.parse() {
        return Some(integer).filter(|_| !text.starts_with('+'));
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let exponent: i64 = exponent.parse().ok()?;
    let mut digits = format!("{whole}{fraction}");
    let zeros = exponent - i64::try_from(fraction.len()).ok()?;
    if digits.bytes().all(|digit| digit == b'0') {
        return Some(0);
    }
    if zeros < 0 {
        let cut = usize::try_from(-zeros).ok()?;
        let at = digits.len().checked_sub(cut)?;
        if digits[at..].bytes().any(|digit| digit != b'0') {
            return None;
        }
        digits.truncate(at);
    } else if zeros > 40 {
        return None;
    } else {
        digits.extend(std::iter::repeat_n('0', usize::try_from(zeros).ok()?));
    }
    digits.parse::<i128>().ok().map(|size| if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_have_gos_form() {
        let table = [
            (42.126, "42.126"),
            (0.0, "0"),
            (7.0, "7"),
            (-0.5, "-0.5"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (0.000_001, "0.000001"),
            (0.000_000_15, "1.5e-7"),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NAN, "\"NaN\""),
        ];
        for (number, expected) in table {
            let mut out = String::new();
            write_double(number, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn integers_may_be_written_as_fractions_and_powers() {
        let table = [
            ("12", Some(12)),
            ("-12", Some(-12)),
            ("1e3", Some(1000)),
            ("1.50e2", Some(150)),
            ("2.0", Some(2)),
            ("100e-2", Some(1)),
            ("-0.0", Some(0)),
            ("0e99", Some(0)),
            ("1.5", None),
            ("15e-1", None),
            ("1e99", None),
            ("18446744073709551615", Some(18_446_744_073_709_551_615)),
            ("1e-99999999999999999999", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_integer(text), expected, "{text}");
        }
    }
}
