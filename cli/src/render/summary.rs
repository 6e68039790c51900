//! The text at the end of a line. The server writes it; only what stands around it is added here.

use palomar_proto::flow::{AuthType, Flow};

use super::Colour;
use super::escape::escape;
use super::event::enum_name;

/// `IP Trace ID: 42; TCP Flags: SYN; Auth: SPIRE`, each part only where the flow has it.
pub fn summary(flow: &Flow, colour: Colour) -> String {
    let trace = flow.ip_trace_id.as_ref().map_or(0, |id| id.trace_id);
    let mut text = match trace {
        0 => String::new(),
        id => format!("IP Trace ID: {id}; "),
    };
    text.push_str(&escape(&flow.summary));
    if flow.auth_type != AuthType::Disabled as i32 {
        let name = enum_name(flow.auth_type, AuthType::as_str_name);
        let failed = flow.auth_type == AuthType::TestAlwaysFail as i32;
        text.push_str("; Auth: ");
        text.push_str(&if failed { colour.bad(&name) } else { colour.good(&name) });
    }
    text
}
