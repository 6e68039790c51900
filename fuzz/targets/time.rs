//! The parsers of times and durations: they take or refuse every text, and read what is printed.

use chrono::DateTime;
use palomar_cli::time::{format_duration, parse_duration, parse_instant};

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = DateTime::from_timestamp(1_772_600_761, 123_456_789).expect("a time");
    if let Ok(instant) = parse_instant(&text, now) {
        let printed = instant.to_rfc3339();
        if (0..10_000).contains(&chrono::Datelike::year(&instant)) {
            assert_eq!(parse_instant(&printed, now).ok(), Some(instant), "{printed}");
        }
    }
    if let Ok(nanos) = parse_duration(&text) {
        let printed = format_duration(nanos.unsigned_abs());
        if nanos != i64::MIN {
            assert_eq!(parse_duration(&printed).ok(), Some(nanos.abs()), "{printed}");
        }
    }
}
