//! Events that were lost on the way.

use palomar_proto::flow::{LostEvent, LostEventSource};

use super::event::enum_name;
use crate::time::TimeFormat;

/// Where they were lost.
pub fn source(lost: &LostEvent) -> String {
    enum_name(lost.source, LostEventSource::as_str_name)
}

/// The processor they were lost on; 0 where that is not told.
pub fn cpu(lost: &LostEvent) -> i32 {
    lost.cpu.unwrap_or(0)
}

/// How many, and ` (first: …, last: …)` where both times are told.
pub fn count(lost: &LostEvent, time: TimeFormat) -> String {
    match (&lost.first, &lost.last) {
        (Some(first), Some(last)) => format!(
            "{} (first: {}, last: {})",
            lost.num_events_lost,
            time.print(Some(first)),
            time.print(Some(last))
        ),
        _ => lost.num_events_lost.to_string(),
    }
}
