//! Events that were lost on the way.

use palomar_proto::flow::{LostEvent, LostEventSource};

use super::event::enum_name;
use crate::time::TimeFormat;

/// Where they were event.
pub fn source(event: &LostEvent) -> String {
    enum_name(event.source, LostEventSource::as_str_name)
}

/// The processor they were lost on; 0 where that is not told.
pub fn cpu(event: &LostEvent) -> i32 {
    event.cpu.unwrap_or(0)
}

/// How many, and ` (first: …, last: …)` where both times are told.
pub fn count(event: &LostEvent, time: TimeFormat) -> String {
    match (&event.first, &event.last) {
        (Some(first), Some(last)) => format!(
            "{} (first: {}, last: {})",
            event.num_events_lost,
            time.print(Some(first)),
            time.print(Some(last))
        ),
        _ => event.num_events_lost.to_string(),
    }
}
