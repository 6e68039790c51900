//! The text at the end of a line. The server writes it; only what stands around it is added here.

use palomar_proto::flow::AuthType;

use super::Colour;
use super::colour::Paint;
use super::escape::push_escaped;
use super::event::push_enum;
use super::host::push_number;
use super::shown::Shown;

/// Appends `IP Trace ID: 42; TCP Flags: SYN; Auth: SPIRE`, each part only where the flow has it.
pub fn push_summary(out: &mut String, flow: &Shown<'_>, colour: Colour) {
    if flow.ip_trace_id > 0 {
        out.push_str("IP Trace ID: ");
        push_number(out, flow.ip_trace_id);
        out.push_str("; ");
    }
    push_escaped(out, &flow.summary);
    if flow.auth != AuthType::Disabled as i32 {
        let failed = flow.auth == AuthType::TestAlwaysFail as i32;
        out.push_str("; Auth: ");
        let paint = if failed { Paint::Bad } else { Paint::Good };
        colour.paint(paint, out, |out| push_enum(out, flow.auth, AuthType::as_str_name));
    }
}
