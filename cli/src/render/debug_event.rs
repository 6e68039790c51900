//! Debug messages of a datapath.

use palomar_proto::flow::{DebugEvent, DebugEventType, Endpoint};
use palomar_proto::observer::GetDebugEventsResponse;

use super::escape::escape;
use super::event::enum_name;
use super::event_printer::EventResponse;
use super::printer::{Envelope, Options};

impl EventResponse for GetDebugEventsResponse {
    type Event = DebugEvent;

    // Hubble's table has a column without a name after the first
    const HEADER: &'static [&'static str] = &["FROM", "", "TYPE", "CPU/MARK", "MESSAGE"];
    const NO_EVENT: &'static str = "not a debug event";

    fn event(&self) -> Option<&DebugEvent> {
        self.debug_event.as_ref()
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope::new(&self.node_name, self.time.as_ref())
    }

    fn line(event: &DebugEvent, _: Options) -> String {
        format!(
            "{} {} MARK: {} CPU: {} ({})",
            escape(&from(event)),
            kind(event),
            mark(event),
            cpu(event),
            escape(&event.message)
        )
    }

    fn fields(event: &DebugEvent, _: Options) -> Vec<(&'static str, String)> {
        vec![
            ("TYPE", kind(event)),
            ("FROM", escape(&from(event)).into_owned()),
            ("MARK", mark(event)),
            ("CPU", cpu(event)),
            ("MESSAGE", escape(&event.message).into_owned()),
        ]
    }

    fn cells(event: &DebugEvent, _: Options) -> Vec<String> {
        vec![
            escape(&from(event)).into_owned(),
            String::new(),
            kind(event),
            format!("{} {}", cpu(event), mark(event)),
            escape(&event.message).into_owned(),
        ]
    }
}

fn kind(event: &DebugEvent) -> String {
    enum_name(event.r#type, DebugEventType::as_str_name)
}

/// The endpoint, not escaped.
fn from(event: &DebugEvent) -> String {
    let Some(Endpoint { id, namespace, pod_name, labels, .. }) = &event.source else {
        return "N/A".to_owned();
    };
    match labels.as_slice() {
        _ if !namespace.is_empty() && !pod_name.is_empty() => format!("{namespace}/{pod_name} (ID: {id})"),
        [label] if label.starts_with("reserved:") => format!("{label} (ID: {id})"),
        _ => format!("ID: {id}"),
    }
}

fn mark(event: &DebugEvent) -> String {
    event.hash.map_or_else(|| "N/A".to_owned(), |hash| format!("{hash:#x}"))
}

fn cpu(event: &DebugEvent) -> String {
    event.cpu.map_or_else(|| "N/A".to_owned(), |cpu| format!("{cpu:02}"))
}
