//! Points in time, as `--since` and `--until` take them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use thiserror::Error;

use super::parse_duration;
use super::scan::Scan;

/// A text that names no point in time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("failed to convert {0} to time")]
pub struct InvalidTime(pub String);

/// A duration means so long before `now` (negative: after); else a date, a date with hours, with minutes or with
/// seconds and a fraction, or the mail form `Wed, 04 Mar 2026 05:06:01 +0000`. A zone is needed wherever there is a
/// time; a date alone begins at midnight UTC. What Go's parser lets pass is let pass.
pub fn parse_instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidTime> {
    let invalid = || InvalidTime(text.to_owned());
    if let Ok(ago) = parse_duration(text) {
        return now.checked_sub_signed(TimeDelta::nanoseconds(ago)).ok_or_else(invalid);
    }
    date(text).or_else(|| numeric(text)).or_else(|| mail(text)).ok_or_else(invalid)
}

/// Hours, minutes, seconds and nanoseconds.
#[derive(Default)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
}

/// `2026-03-04`
fn date(text: &str) -> Option<DateTime<Utc>> {
    let mut scan = Scan(text);
    let date = scan_date(&mut scan)?;
    scan.is_end().then(|| instant(date, &Clock::default(), 0))?
}

/// `2026-03-04T05Z`, with minutes, with seconds, with a fraction.
fn numeric(text: &str) -> Option<DateTime<Utc>> {
    let mut scan = Scan(text);
    let date = scan_date(&mut scan)?;
    scan.literal("T")?;
    let mut clock = Clock { hour: scan.one_or_two_digits()?, ..Clock::default() };
    if scan.literal(":").is_some() {
        clock.minute = scan.digits(2)?;
        if scan.literal(":").is_some() {
            (clock.second, clock.nanos) = (scan.digits(2)?, scan.fraction());
        }
    }
    let zone = if scan.literal("Z").is_some() { 0 } else { scan_zone(&mut scan, ":")? };
    scan.is_end().then(|| instant(date, &clock, zone))?
}

/// `Wed, 04 Mar 2026 05:06:01 +0000`; the day of the week need not be right.
fn mail(text: &str) -> Option<DateTime<Utc>> {
    let mut scan = Scan(text);
    scan.one_of(&["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"])?;
    scan.literal(",")?;
    scan.spaces()?;
    let day = scan.digits(2)?;
    scan.spaces()?;
    let month =
        scan.one_of(&["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])?;
    scan.spaces()?;
    let year = scan.digits(4)?;
    scan.spaces()?;
    let hour = scan.one_or_two_digits()?;
    scan.literal(":")?;
    let minute = scan.digits(2)?;
    scan.literal(":")?;
    let (second, nanos) = (scan.digits(2)?, scan.fraction());
    scan.spaces()?;
    let zone = scan_zone(&mut scan, "")?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month + 1, day)?;
    scan.is_end().then(|| instant(date, &Clock { hour, minute, second, nanos }, zone))?
}

fn scan_date(scan: &mut Scan<'_>) -> Option<NaiveDate> {
    let year = scan.digits(4)?;
    scan.literal("-")?;
    let month = scan.digits(2)?;
    scan.literal("-")?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, scan.digits(2)?)
}

/// Seconds east of Greenwich.
fn scan_zone(scan: &mut Scan<'_>, separator: &str) -> Option<i64> {
    let sign = [1, -1][usize::try_from(scan.one_of(&["+", "-"])?).ok()?];
    let hours = scan.digits(2)?;
    scan.literal(separator)?;
    let minutes = scan.digits(2)?;
    // a day and an hour in full are let pass
    (hours <= 24 && minutes <= 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// `None`: no such time of day, or a year that requests cannot hold.
fn instant(date: NaiveDate, clock: &Clock, zone: i64) -> Option<DateTime<Utc>> {
    let Clock { hour, minute, second, nanos } = *clock;
    let local = date.and_hms_nano_opt(hour, minute, second, nanos)?.and_utc();
    let instant = local.checked_sub_signed(TimeDelta::seconds(zone))?;
    (1..=9999).contains(&chrono::Datelike::year(&instant)).then_some(instant)
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
            ("days and weeks as well", "1w2d", "2026-02-23T12:00:00Z"),
            ("a negative duration is after now", "-1h", "2026-03-04T13:00:00Z"),
            ("a date is midnight UTC", "2026-12-24", "2026-12-24T00:00:00Z"),
            ("hours", "2026-03-04T05Z", "2026-03-04T05:00:00Z"),
            ("hours with a zone", "2026-03-04T05-01:30", "2026-03-04T06:30:00Z"),
            ("an hour of one digit", "2026-03-04T5:06Z", "2026-03-04T05:06:00Z"),
            ("minutes", "2026-03-04T05:06Z", "2026-03-04T05:06:00Z"),
            ("seconds with a zone", "2026-03-04T05:06:50+02:00", "2026-03-04T03:06:50Z"),
            ("nanoseconds", "2026-03-04T05:06:50.123456789Z", "2026-03-04T05:06:50.123456789Z"),
            ("two digits of a second", "2026-03-04T05:06:50.12Z", "2026-03-04T05:06:50.120Z"),
            (
                "a comma, and more digits than count",
                "2026-03-04T05:06:50,1234567891Z",
                "2026-03-04T05:06:50.123456789Z",
            ),
            ("the mail form", "Wed, 04 Mar 2026 05:06:01 +0000", "2026-03-04T05:06:01Z"),
            (
                "a day of the week that it is not",
                "mon,  04 MAR 2026 5:06:01.5 -0130",
                "2026-03-04T06:36:01.500Z",
            ),
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
            "0000-01-01",
            "2026-03-04T",
            "2026-03-04T05",
            "2026-03-04T24Z",
            "2026-03-04T05:6Z",
            "2026-03-04T05:06:60Z",
            "2026-03-04T05:06:01",
            "2026-03-04T05:06:01.Z",
            "2026-03-04 05:06:01Z",
            "2026-03-04t05:06:01z",
            "2026-03-04T05:06:01+0200",
            "2026-03-04T05:06:01+25:00",
            "2026-03-04T05:06:01Z ",
            "Mar  4 05:06:01.123",
            "Wed, 04 Mar 2026 05:06:01 GMT",
            "Wed, 4 Mar 2026 05:06:01 +0000",
            "ééééééééééééééééééé",
        ] {
            assert_eq!(parsed(text), Err(format!("failed to convert {text} to time")));
        }
    }
}
