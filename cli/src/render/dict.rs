//! One field a line, with a rule between flows.

use std::io::{self, Write};

use palomar_flow::view::Side;
use palomar_proto::flow::{Flow, LostEvent};

use super::host::host;
use super::printer::{Envelope, Options};
use super::summary::summary;
use super::verdict::verdict;
use super::{event, lost};

/// Stands between two records.
pub const RULE: &str = "------------";

/// Writes the fields of a flow, its ends as its packet stands.
pub fn flow(out: &mut impl Write, options: Options, flow: &Flow, envelope: Envelope<'_>) -> io::Result<()> {
    head(out, options, envelope)?;
    field(out, "SOURCE", &host(flow, Side::Source, options.naming, options.colour))?;
    field(out, "DESTINATION", &host(flow, Side::Destination, options.naming, options.colour))?;
    field(out, "TYPE", &event::name(flow))?;
    field(out, "VERDICT", &verdict(flow, options.policy_names, options.colour))?;
    field(out, "SUMMARY", &summary(flow, options.colour))
}

/// Writes the fields of a loss.
pub fn lost(
    out: &mut impl Write,
    options: Options,
    event: &LostEvent,
    envelope: Envelope<'_>,
) -> io::Result<()> {
    head(out, options, envelope)?;
    field(out, "SOURCE", &lost::source(event))?;
    field(out, "TYPE", "EVENTS LOST")?;
    field(out, "VERDICT", "-")?;
    field(out, "SUMMARY", &format!("CPU({}) - {}", lost::cpu(event), lost::count(event, options.time)))
}

/// Writes one field, its name aligned to the right.
pub fn field(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:>11}: {value}")
}

fn head(out: &mut impl Write, options: Options, envelope: Envelope<'_>) -> io::Result<()> {
    field(out, "TIMESTAMP", &options.time.print(envelope.time))?;
    if options.print_node_name {
        field(out, "NODE", &envelope.node())?;
    }
    Ok(())
}
