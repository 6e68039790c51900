//! One line a flow: `time: source (identity) -> destination (identity) type verdict (summary)`.

use std::io::{self, Write};

use palomar_flow::view::Side;
use palomar_proto::flow::LostEvent;

use super::colour::Paint;
use super::escape::push_escaped;
use super::event::push_name;
use super::host::push_host;
use super::identity::push_identity;
use super::lost;
use super::printer::{Envelope, Options};
use super::shown::Shown;
use super::summary::push_summary;
use super::verdict::push_verdict;

/// Appends a flow. The ends of a reply are swapped, so that the client of a connection always stands on the left.
pub fn push_flow(out: &mut String, options: Options, flow: &Shown<'_>, envelope: Envelope<'_>) {
    let (left, arrow, right) = match flow.is_reply {
        None => (Side::Source, " <> ", Side::Destination),
        Some(false) => (Side::Source, " -> ", Side::Destination),
        Some(true) => (Side::Destination, " <- ", Side::Source),
    };
    options.time.push(out, envelope.time);
    if options.print_node_name {
        out.push_str(" [");
        push_escaped(out, envelope.node_name);
        out.push(']');
    }
    out.push_str(": ");
    push_end(out, flow, left, options);
    out.push_str(arrow);
    push_end(out, flow, right, options);
    out.push(' ');
    push_name(out, flow);
    out.push(' ');
    push_verdict(out, flow, options.policy_names, options.colour);
    out.push_str(" (");
    push_summary(out, flow, options.colour);
    out.push_str(")\n");
}

/// Writes a line on lost events.
pub fn lost(
    out: &mut impl Write,
    options: Options,
    event: &LostEvent,
    envelope: Envelope<'_>,
) -> io::Result<()> {
    writeln!(
        out,
        "{} EVENTS LOST: {} CPU({}) {}",
        options.time.text(envelope.time),
        lost::source(event),
        lost::cpu(event),
        lost::count(event, options.time),
    )
}

fn push_end(out: &mut String, flow: &Shown<'_>, side: Side, options: Options) {
    let end = flow.end(side);
    push_host(out, end, options.naming, options.colour);
    out.push(' ');
    options.colour.paint(Paint::Identity, out, |out| {
        out.push('(');
        push_identity(out, end.identity);
        out.push(')');
    });
}
