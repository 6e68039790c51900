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

/// How many, and ` (first: …, last: …)` where both times are told. An agent that cannot tell how many says 0, which is
/// printed as it is: Hubble's CLI does so.
pub fn count(event: &LostEvent, time: TimeFormat) -> String {
    let count = event.num_events_lost.to_string();
    match (&event.first, &event.last) {
        (Some(first), Some(last)) => {
            format!("{count} (first: {}, last: {})", time.print(Some(first)), time.print(Some(last)))
        }
        _ => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_printed_as_it_is_also_zero() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let told = |num_events_lost, first, last| {
            let event = LostEvent { num_events_lost, first, last, ..LostEvent::default() };
            count(&event, TimeFormat::Rfc3339)
        };
        assert_eq!(told(7, None, None), "7");
        assert_eq!(told(0, None, time(1)), "0");
        assert_eq!(told(0, time(0), time(1)), "0 (first: 1970-01-01T00:00:00Z, last: 1970-01-01T00:00:01Z)");
    }
}
