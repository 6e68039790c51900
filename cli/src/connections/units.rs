//! Sizes and times for people, or exactly.

use crate::time::format_duration;

const STEP: u64 = 1024;
const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `512 B`, `1.5 MiB`: cut off after one decimal.
pub fn rounded_bytes(bytes: u64) -> String {
    let mut unit = (1, "B");
    for name in UNITS {
        match bytes / unit.0 {
            0..STEP => break,
            _ => unit = (unit.0 * STEP, name),
        }
    }
    let (size, name) = unit;
    if size == 1 {
        return format!("{bytes} B");
    }
    let tenths = bytes % size * 10 / size;
    format!("{}.{tenths} {name}", bytes / size)
}

/// `350ms`, `45s`, `3m12s`, `2h5m`, `3d4h`: its two greatest units, cut off.
pub fn rounded_time(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{}ms", nanos / 1_000_000),
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, _) => format!("{minutes}m{}s", seconds % 60),
        (0, hours, ..) => format!("{hours}h{}m", minutes % 60),
        (days, ..) => format!("{days}d{}h", hours % 24),
    }
}

/// The time to the nanosecond.
pub fn exact_time(nanos: u64) -> String {
    format_duration(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_cut_off_after_one_decimal() {
        let table = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_535, "1.4 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, wanted) in table {
            assert_eq!(rounded_bytes(bytes), wanted, "{bytes}");
        }
    }

    #[test]
    fn times_have_their_two_greatest_units() {
        let second = 1_000_000_000;
        let table = [
            (0, "0ms"),
            (999_999_999, "999ms"),
            (second, "1s"),
            (59 * second, "59s"),
            (60 * second, "1m0s"),
            (3_599 * second, "59m59s"),
            (7_500 * second, "2h5m"),
            (86_399 * second, "23h59m"),
            (273_600 * second, "3d4h"),
            (u64::MAX, "213503d23h"),
        ];
        for (nanos, wanted) in table {
            assert_eq!(rounded_time(nanos), wanted, "{nanos}");
        }
    }
}
