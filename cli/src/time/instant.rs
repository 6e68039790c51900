//! Points in time, as `--since` and `--until` take them.

use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;

use super::parse_duration;

/// A text that names no point in time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("failed to convert {0} to time")]
pub struct InvalidTime(pub String);

/// A duration means so long before `now` (negative: after); else a date, a date with hours, with minutes or with
/// seconds and a fraction, or the mail form `Wed, 04 Mar 2026 05:06:01 +0000`. A zone is needed wherever there is a
/// time; a date alone begins at midnight UTC.
pub fn parse_instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidTime> {
    let invalid = || InvalidTime(text.to_owned());
    if let Ok(ago) = parse_duration(text) {
        return now.checked_sub_signed(TimeDelta::nanoseconds(ago)).ok_or_else(invalid);
    }
    numeric(text).or_else(|| mail(text)).ok_or_else(invalid)
}

/// Completes the shorter forms to RFC 3339.
fn numeric(text: &str) -> Option<DateTime<Utc>> {
    let (date, time) = match text.split_once('T') {
        None => (text, "00:00:00Z".to_owned()),
        Some((date, time)) => {
            let zone = time.find(['Z', '+', '-'])?;
            let (clock, zone) = time.split_at(zone);
            let clock = match shape(clock).as_str() {
                "dd" => format!("{clock}:00:00"),
                "dd:dd" => format!("{clock}:00"),
                full if full.strip_prefix("dd:dd:dd").is_some_and(is_fraction) => clock.to_owned(),
                _ => return None,
            };
            if zone != "Z" && shape(&zone[1..]) != "dd:dd" {
                return None;
            }
            (date, clock + zone)
        }
    };
    if shape(date) != "dddd-dd-dd" {
        return None;
    }
    Some(DateTime::parse_from_rfc3339(&format!("{date}T{time}")).ok()?.to_utc())
}

fn is_fraction(shape: &str) -> bool {
    shape.is_empty()
        || shape.strip_prefix('.').is_some_and(|digits| !digits.is_empty() && !digits.contains(|c| c != 'd'))
}

fn mail(text: &str) -> Option<DateTime<Utc>> {
    let digits = "Www, dd Www dddd dd:dd:dd";
    let (clock, zone) = text.split_at_checked(digits.len())?;
    let zone = zone.strip_prefix(' ')?;
    if !zone.starts_with(['+', '-']) || shape(&zone[1..]) != "dddd" || shape(&clock[5..7]) != "dd" {
        return None;
    }
    Some(DateTime::parse_from_str(text, "%a, %d %b %Y %H:%M:%S %z").ok()?.to_utc())
}

/// The text with a `d` for each digit.
fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-04T12:00:00Z";

    fn parsed(text: &str) -> Result<String, String> {
        let now = DateTime::parse_from_rfc3339(NOW).unwrap().to_utc();
        let instant = parse_instant(text, now).map_err(|error| error.to_string())?;
        Ok(instant.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string())
    }

    #[test]
    fn each_form_names_its_instant() {
        let table = [
            ("a duration is before now", "1h43m", "2026-03-04T10:17:00Z"),
            ("a negative duration is after now", "-1h", "2026-03-04T13:00:00Z"),
            ("a date is midnight UTC", "2026-12-24", "2026-12-24T00:00:00Z"),
            ("hours", "2026-03-04T05Z", "2026-03-04T05:00:00Z"),
            ("hours with a zone", "2026-03-04T05-01:30", "2026-03-04T06:30:00Z"),
            ("minutes", "2026-03-04T05:06Z", "2026-03-04T05:06:00Z"),
            ("seconds with a zone", "2026-03-04T05:06:50+02:00", "2026-03-04T03:06:50Z"),
            ("nanoseconds", "2026-03-04T05:06:50.123456789Z", "2026-03-04T05:06:50.123456789Z"),
            ("the mail form", "Wed, 04 Mar 2026 05:06:01 +0000", "2026-03-04T05:06:01Z"),
        ];
        for (what, text, wanted) in table {
            assert_eq!(parsed(text).as_deref(), Ok(wanted), "{what}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "yesterday",
            "10y",
            "",
            "2026-3-4",
            "2026-02-30",
            "2026-03-04T05:06:01",
            "2026-03-04T05:06:01.Z",
            "2026-03-04 05:06:01Z",
            "2026-03-04T05:06:01+0200",
            "Mar  4 05:06:01.123",
            "Wed, 04 Mar 2026 05:06:01 GMT",
            "ééééééééééééééééééé",
        ] {
            assert_eq!(parsed(text), Err(format!("failed to convert {text} to time")));
        }
    }
}
