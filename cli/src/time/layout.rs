//! The layouts in which times are printed.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// How times are printed; always in UTC, fractions cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeFormat {
    /// `Mar  4 05:06:01.123`
    #[default]
    StampMilli,
    /// `2026-03-04`
    YearMonthDay,
    /// `2026-03-04T05Z`
    YearMonthDayHour,
    /// `2026-03-04T05:06Z`
    YearMonthDayHourMinute,
    /// `2026-03-04T05:06:01Z`
    Rfc3339,
    /// `2026-03-04T05:06:01.123Z`
    Rfc3339Milli,
    /// `2026-03-04T05:06:01.123456Z`
    Rfc3339Micro,
    /// `2026-03-04T05:06:01.123456789Z`; like the two before it without zeros at the end
    Rfc3339Nano,
    /// `Wed, 04 Mar 2026 05:06:01 +0000`
    Rfc1123Z,
}

/// The years 1 to 9999, in seconds since 1970.
const PRINTABLE_SECONDS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

impl TimeFormat {
    /// All formats by name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("StampMilli", Self::StampMilli),
        ("YearMonthDay", Self::YearMonthDay),
        ("YearMonthDayHour", Self::YearMonthDayHour),
        ("YearMonthDayHourMinute", Self::YearMonthDayHourMinute),
        ("RFC3339", Self::Rfc3339),
        ("RFC3339Milli", Self::Rfc3339Milli),
        ("RFC3339Micro", Self::Rfc3339Micro),
        ("RFC3339Nano", Self::Rfc3339Nano),
        ("RFC1123Z", Self::Rfc1123Z),
    ];

    /// The format of that name, in any case; as in Hubble, an unknown name means the first.
    pub fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, format)| format).unwrap_or_default()
    }

    /// The time as text; `N/A` if there is none or if it is outside the years 1 to 9999.
    pub fn print(self, time: Option<&Timestamp>) -> String {
        time.and_then(to_chrono).map_or_else(|| "N/A".to_owned(), |time| self.text(time))
    }

    fn text(self, time: DateTime<Utc>) -> String {
        let layout = match self {
            Self::StampMilli => "%b %e %H:%M:%S%.3f",
            Self::YearMonthDay => "%Y-%m-%d",
            Self::YearMonthDayHour => "%Y-%m-%dT%HZ",
            Self::YearMonthDayHourMinute => "%Y-%m-%dT%H:%MZ",
            Self::Rfc3339 | Self::Rfc3339Milli | Self::Rfc3339Micro | Self::Rfc3339Nano => {
                "%Y-%m-%dT%H:%M:%S"
            }
            Self::Rfc1123Z => "%a, %d %b %Y %H:%M:%S +0000",
        };
        let text = time.format(layout).to_string();
        match self {
            Self::Rfc3339 => text + "Z",
            Self::Rfc3339Milli => text + &fraction(time, 3) + "Z",
            Self::Rfc3339Micro => text + &fraction(time, 6) + "Z",
            Self::Rfc3339Nano => text + &fraction(time, 9) + "Z",
            _ => text,
        }
    }
}

/// So many digits of a second, cut off, and without zeros at the end: `.123`; nothing for none.
fn fraction(time: DateTime<Utc>, digits: usize) -> String {
    let nanos = format!("{:09}", time.timestamp_subsec_nanos());
    match nanos[..digits].trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    }
}

fn to_chrono(time: &Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    PRINTABLE_SECONDS.contains(&time.seconds).then(|| DateTime::from_timestamp(time.seconds, nanos))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_others_mean_the_default() {
        for (name, format) in TimeFormat::ALL {
            assert_eq!(TimeFormat::named(&name.to_lowercase()), format);
        }
        assert_eq!(TimeFormat::named("bogus"), TimeFormat::StampMilli);
    }

    #[test]
    fn fractions_have_no_zeros_at_their_end() {
        let table = [
            (TimeFormat::Rfc3339Milli, 120_999_999, "2026-03-04T05:06:01.12Z"),
            (TimeFormat::Rfc3339Milli, 999_999, "2026-03-04T05:06:01Z"),
            (TimeFormat::Rfc3339Micro, 1_000, "2026-03-04T05:06:01.000001Z"),
            (TimeFormat::Rfc3339Nano, 500_000_000, "2026-03-04T05:06:01.5Z"),
            (TimeFormat::Rfc3339Nano, 0, "2026-03-04T05:06:01Z"),
            (TimeFormat::StampMilli, 0, "Mar  4 05:06:01.000"),
        ];
        for (format, nanos, wanted) in table {
            assert_eq!(format.print(Some(&Timestamp { seconds: 1_772_600_761, nanos })), wanted);
        }
    }

    #[test]
    fn fractions_are_cut_and_what_is_no_time_is_not_available() {
        let print = |seconds, nanos| TimeFormat::StampMilli.print(Some(&Timestamp { seconds, nanos }));
        assert_eq!(print(1_772_600_761, 999_999_999), "Mar  4 05:06:01.999");
        assert_eq!(print(0, -1), "N/A");
        assert_eq!(print(0, 1_000_000_000), "N/A");
        assert_eq!(print(253_402_300_800, 0), "N/A");
        assert_eq!(TimeFormat::Rfc3339.print(None), "N/A");
    }
}
