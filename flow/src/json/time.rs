//! Times in JSON: RFC 3339 in UTC.

const DAY_S: i64 = 86_400;
/// 0001-01-01T00:00:00Z.
const FIRST_S: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_S: i64 = 253_402_300_799;

/// Appends a quoted time with 0, 3, 6 or 9 digits of a second, as few as hold it. False, and nothing is written,
/// where the time is outside of the years 1 to 9999 or the nanoseconds are no part of a second.
pub(super) fn write(seconds: i64, nanos: i32, out: &mut String) -> bool {
    if !(FIRST_S..=LAST_S).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return false;
    }
    let (year, month, day) = date_of(seconds.div_euclid(DAY_S));
    let second = seconds.rem_euclid(DAY_S);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    out.push('"');
    let parts = [(year, 4, '-'), (month, 2, '-'), (day, 2, 'T'), (hour, 2, ':'), (minute, 2, ':')];
    for (number, width, separator) in parts {
        push_digits(number, width, out);
        out.push(separator);
    }
    push_digits(second, 2, out);
    let (fraction, width) = match i64::from(nanos) {
        nanos if nanos % 1_000_000 == 0 => (nanos / 1_000_000, 3),
        nanos if nanos % 1_000 == 0 => (nanos / 1_000, 6),
        nanos => (nanos, 9),
    };
    if fraction != 0 {
        out.push('.');
        push_digits(fraction, width, out);
    }
    out.push_str("Z\"");
    true
}

/// Appends a number with leading zeros; it is not negative and has no more digits than that.
fn push_digits(number: i64, width: u32, out: &mut String) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0'));
    }
}

/// Whether a text is a time as [`write`] writes it, without the quotes.
pub(super) fn is_written_so(text: &[u8]) -> bool {
    let Some((clock, rest)) = text.split_at_checked(19) else { return false };
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let is_like = |(byte, like): (&u8, &u8)| if *like == b'd' { byte.is_ascii_digit() } else { byte == like };
    if !clock.iter().zip(pattern).all(is_like) {
        return false;
    }
    let number = |range: std::ops::Range<usize>| {
        clock[range].iter().fold(0, |number: i64, digit| number * 10 + i64::from(digit - b'0'))
    };
    let (year, month) = (number(0..4), number(5..7));
    let is_fraction = match rest {
        b"Z" => true,
        [b'.', digits @ .., b'Z'] => {
            matches!(digits.len(), 3 | 6 | 9)
                && digits.iter().all(u8::is_ascii_digit)
                && !digits.ends_with(b"000")
        }
        _ => false,
    };
    is_fraction
        && year > 0
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&number(8..10))
        && number(11..13) < 24
        && number(14..16) < 60
        && number(17..19) < 60
}

/// Seconds and nanoseconds of an RFC 3339 time with any zone; `None` for anything else and for times outside of the
/// years 1 to 9999.
pub(super) fn parse(text: &str) -> Option<(i64, i32)> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, byte)| text.as_bytes().get(*at) == Some(byte)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_valid = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let (nanos, zone) = fraction(&text[19..])?;
    let seconds =
        days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    (is_valid && (FIRST_S..=LAST_S).contains(&seconds)).then_some((seconds, nanos))
}

/// Nanoseconds of a fraction of at most 9 digits, and what follows.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at(length);
    let missing = 9_u32.checked_sub(u32::try_from(length).ok()?)?;
    // none is no number
    let nanos = digits.parse::<i32>().ok()? * 10_i32.pow(missing);
    Some((nanos, rest))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first()? {
        b'Z' if zone.len() == 1 => return Some(0),
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse::<i64>().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day is a year's last.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a count of days since 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    // 146,097 days are 400 years
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (year + era * 400, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_as_few_digits_as_hold_them() {
        let table = [
            (0, 0, "\"1970-01-01T00:00:00Z\""),
            (1_772_600_761, 123_456_789, "\"2026-03-04T05:06:01.123456789Z\""),
            (1_772_600_761, 120_000_000, "\"2026-03-04T05:06:01.120Z\""),
            (1_772_600_761, 123_456_000, "\"2026-03-04T05:06:01.123456Z\""),
            (951_782_400, 1, "\"2000-02-29T00:00:00.000000001Z\""),
            (FIRST_S, 0, "\"0001-01-01T00:00:00Z\""),
            (LAST_S, 0, "\"9999-12-31T23:59:59Z\""),
        ];
        for (seconds, nanos, expected) in table {
            let mut out = String::new();
            assert!(write(seconds, nanos, &mut out));
            assert_eq!(out, expected);
        }
        for (seconds, nanos) in [(FIRST_S - 1, 0), (LAST_S + 1, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(!write(seconds, nanos, &mut String::new()));
        }
    }

    #[test]
    fn zones_are_read_and_nonsense_is_not() {
        assert_eq!(parse("1970-01-01T02:00:00.5+02:00"), Some((0, 500_000_000)));
        assert_eq!(parse("1969-12-31T22:30:00-01:30"), Some((0, 0)));
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01 00:00:00Z",
            "+970-01-01T00:00:00Z",
            "é970-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_back(seconds in FIRST_S..=LAST_S, nanos in 0..1_000_000_000_i32) {
            let mut out = String::new();
            prop_assert!(write(seconds, nanos, &mut out));
            prop_assert_eq!(parse(out.trim_matches('"')), Some((seconds, nanos)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
