//! A point in time by the calendar, in UTC.

/// The years 1 to 9999, in seconds since 1970.
const PRINTABLE_SECONDS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;
const DAY_S: i64 = 86_400;

/// Day, time of day and what is left of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    pub year: u16,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
    /// From Sunday, which is 0.
    pub weekday: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanos: u32,
}

impl Calendar {
    /// `None` outside of the years 1 to 9999, and where the nanoseconds are no part of a second.
    pub fn new(seconds: i64, nanos: i32) -> Option<Self> {
        let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        if !PRINTABLE_SECONDS.contains(&seconds) {
            return None;
        }
        let (days, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        // days since the 1st of March of the year 0, in eras of 400 years; a year begins in March, so that the odd day
        // of February is its last
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let byte = |number: i64| u8::try_from(number).unwrap_or(0);
        Some(Self {
            year: u16::try_from(year).ok()?,
            month: byte(month),
            day: byte(day),
            weekday: byte((days + 4).rem_euclid(7)),
            hour: byte(second / 3600),
            minute: byte(second / 60 % 60),
            second: byte(second % 60),
            nanos,
        })
    }

    /// Appends `05:06:07`.
    pub fn push_clock(&self, out: &mut String) {
        let two = |number: u8| [b'0' + number / 10, b'0' + number % 10].map(char::from);
        let [hour, minute, second] = [self.hour, self.minute, self.second].map(two);
        out.extend([hour[0], hour[1], ':', minute[0], minute[1], ':', second[0], second[1]]);
    }

    /// Appends so many digits of the second, cut off, and without zeros at the end: `.123`; nothing for none.
    pub fn push_fraction(&self, out: &mut String, digits: usize) {
        let nanos = format!("{:09}", self.nanos);
        match nanos[..digits].trim_end_matches('0') {
            "" => {}
            digits => out.extend([".", digits]),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, Timelike};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_are_those_of_the_calendar(seconds in PRINTABLE_SECONDS, nanos in 0..1_000_000_000) {
            let ours = Calendar::new(seconds, nanos).unwrap();
            let theirs = DateTime::from_timestamp(seconds, nanos.cast_unsigned()).unwrap();
            let date = (i32::from(ours.year), u32::from(ours.month), u32::from(ours.day));
            prop_assert_eq!(date, (theirs.year(), theirs.month(), theirs.day()));
            let clock = (u32::from(ours.hour), u32::from(ours.minute), u32::from(ours.second), ours.nanos);
            prop_assert_eq!(clock, (theirs.hour(), theirs.minute(), theirs.second(), theirs.nanosecond()));
            prop_assert_eq!(u32::from(ours.weekday), theirs.weekday().num_days_from_sunday());
        }
    }

    #[test]
    fn the_first_and_the_last_second_are_printable_and_no_other() {
        assert!(Calendar::new(PRINTABLE_SECONDS.start, 0).is_some());
        assert!(Calendar::new(PRINTABLE_SECONDS.end - 1, 999_999_999).is_some());
        assert_eq!(Calendar::new(PRINTABLE_SECONDS.start - 1, 0), None);
        assert_eq!(Calendar::new(PRINTABLE_SECONDS.end, 0), None);
    }
}
