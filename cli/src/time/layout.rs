//! The layouts in which times are printed.

use prost_types::Timestamp;

use super::calendar::Calendar;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

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
        self.text(time.map(|time| (time.seconds, time.nanos)))
    }

    /// The same for seconds and nanoseconds.
    pub fn text(self, time: Option<(i64, i32)>) -> String {
        let mut text = String::new();
        self.push(&mut text, time);
        text
    }

    /// Appends the same.
    pub fn push(self, out: &mut String, time: Option<(i64, i32)>) {
        match time.and_then(|(seconds, nanos)| Calendar::new(seconds, nanos)) {
            Some(time) => self.push_calendar(out, &time),
            None => out.push_str("N/A"),
        }
    }

    fn push_calendar(self, out: &mut String, time: &Calendar) {
        match self {
            Self::StampMilli => {
                out.push_str(MONTHS[usize::from(time.month - 1)]);
                out.push_str(if time.day < 10 { "  " } else { " " });
                push_number(out, time.day.into(), if time.day < 10 { 1 } else { 2 });
                out.push(' ');
                time.push_clock(out);
                out.push('.');
                push_number(out, time.nanos / 1_000_000, 3);
            }
            Self::Rfc1123Z => {
                out.extend([DAYS[usize::from(time.weekday)], ", "]);
                push_number(out, time.day.into(), 2);
                out.extend([" ", MONTHS[usize::from(time.month - 1)], " "]);
                push_number(out, time.year.into(), 4);
                out.push(' ');
                time.push_clock(out);
                out.push_str(" +0000");
            }
            _ => self.push_numeric(out, time),
        }
    }

    /// The forms that begin with the year.
    fn push_numeric(self, out: &mut String, time: &Calendar) {
        for (number, digits, separator) in
            [(time.year, 4, "-"), (time.month.into(), 2, "-"), (time.day.into(), 2, "")]
        {
            push_number(out, number.into(), digits);
            out.push_str(separator);
        }
        let clock = [("T", time.hour), (":", time.minute), (":", time.second)];
        let (parts, fraction) = match self {
            Self::YearMonthDay => return,
            Self::YearMonthDayHour => (1, 0),
            Self::YearMonthDayHourMinute => (2, 0),
            Self::Rfc3339Milli => (3, 3),
            Self::Rfc3339Micro => (3, 6),
            Self::Rfc3339Nano => (3, 9),
            _ => (3, 0),
        };
        for (separator, number) in &clock[..parts] {
            out.push_str(separator);
            push_number(out, (*number).into(), 2);
        }
        time.push_fraction(out, fraction);
        out.push('Z');
    }
}

/// Appends a number with leading zeros.
fn push_number(out: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        out.push(char::from_digit(number / 10_u32.pow(place) % 10, 10).unwrap_or('0'));
    }
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
