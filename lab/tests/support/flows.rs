//! Questions about a flow as `palomar observe -o json` prints it.

use serde_json::Value;

/// The value at a path such as `/source/pod_name`; `null` where the flow has none.
pub fn field<'a>(flow: &'a Value, path: &str) -> &'a Value {
    const ABSENT: &Value = &Value::Null;
    flow.pointer(path).unwrap_or(ABSENT)
}

/// Whether source and destination are these pods, by their own names.
pub fn names_pod(flow: &Value, source: &str, destination: &str) -> bool {
    field(flow, "/source/pod_name") == source && field(flow, "/destination/pod_name") == destination
}

/// Whether it says that policy dropped the packet.
pub fn is_dropped(flow: &Value) -> bool {
    field(flow, "/verdict") == "DROPPED"
}

/// What it says of its direction within the connection; `None` where it says nothing.
pub fn is_reply(flow: &Value) -> Option<bool> {
    field(flow, "/is_reply").as_bool()
}

/// Whether its event is of this kind, by Cilium's number: 1 drop, 4 trace, 5 policy verdict.
pub fn is_type(flow: &Value, number: u64) -> bool {
    field(flow, "/event_type/type") == number
}
