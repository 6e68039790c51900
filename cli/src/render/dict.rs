//! One field a line, with a rule between flows.

use std::io::{self, Write};

use palomar_flow::view::Side;
use palomar_proto::flow::LostEvent;

use super::escape::push_escaped;
use super::event::push_name;
use super::host::push_host;
use super::lost;
use super::printer::{Envelope, Options};
use super::shown::Shown;
use super::summary::push_summary;
use super::verdict::push_verdict;

/// Stands between two records.
pub const RULE: &str = "------------";

/// Appends the fields of a flow, its ends as its packet stands.
pub fn push_flow(out: &mut String, options: Options, flow: &Shown<'_>, envelope: Envelope<'_>) {
    let colour = options.colour;
    push_head(out, options, envelope);
    out.push_str("     SOURCE: ");
    push_host(out, flow.end(Side::Source), options.naming, colour);
    out.push_str("\nDESTINATION: ");
    push_host(out, flow.end(Side::Destination), options.naming, colour);
    out.push_str("\n       TYPE: ");
    push_name(out, flow);
    out.push_str("\n    VERDICT: ");
    push_verdict(out, flow, options.policy_names, colour);
    out.push_str("\n    SUMMARY: ");
    push_summary(out, flow, colour);
    out.push('\n');
}

fn push_head(out: &mut String, options: Options, envelope: Envelope<'_>) {
    out.push_str("  TIMESTAMP: ");
    options.time.push(out, envelope.time);
    out.push('\n');
    if options.print_node_name {
        out.push_str("       NODE: ");
        push_escaped(out, envelope.node_name);
        out.push('\n');
    }
}

/// Writes the fields of a loss.
pub fn lost(
    out: &mut impl Write,
    options: Options,
    event: &LostEvent,
    envelope: Envelope<'_>,
) -> io::Result<()> {
    let mut head = String::new();
    push_head(&mut head, options, envelope.dashed());
    out.write_all(head.as_bytes())?;
    field(out, "SOURCE", &lost::source(event))?;
    field(out, "TYPE", "EVENTS LOST")?;
    field(out, "VERDICT", "-")?;
    field(out, "SUMMARY", &format!("CPU({}) - {}", lost::cpu(event), lost::count(event, options.time)))
}

/// Writes one field, its name aligned to the right.
pub fn field(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:>11}: {value}")
}
