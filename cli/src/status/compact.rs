//! The status for a person.

use std::io::{self, Write};

use palomar_proto::observer::ServerStatusResponse;

use super::grouped;
use crate::render::escape::escape;

/// Prints a few lines.
pub fn print(status: &ServerStatusResponse, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "Current/Max Flows: {}/{}", grouped(status.num_flows), grouped(status.max_flows))?;
    if status.max_flows > 0 {
        write!(out, " ({:.2}%)", ratio(status.num_flows, status.max_flows) * 100.0)?;
    }
    writeln!(out)?;
    match rate(status) {
        Some(rate) => writeln!(out, "Flows/s: {rate:.2}")?,
        None => writeln!(out, "Flows/s: N/A")?,
    }
    let unavailable = status.num_unavailable_nodes;
    match (status.num_connected_nodes, unavailable) {
        (Some(connected), Some(unavailable)) => {
            let total = u64::from(connected) + u64::from(unavailable);
            writeln!(out, "Connected Nodes: {connected}/{total}")?;
        }
        (Some(connected), None) => writeln!(out, "Connected Nodes: {connected}")?,
        (None, _) => {}
    }
    match unavailable {
        Some(unavailable) if unavailable > 0 => nodes(unavailable, &status.unavailable_nodes, out),
        _ => Ok(()),
    }
}

/// How many, and the names, if any are told.
fn nodes(count: u32, names: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Unavailable Nodes: {count}")?;
    if names.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    for name in &names {
        writeln!(out, "  - {}", escape(name))?;
    }
    match usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(names.len()) {
        0 => Ok(()),
        more => writeln!(out, "  - and {more} more..."),
    }
}

/// Flows in a second: as the server says, else over its whole life. `None` if that is not known.
fn rate(status: &ServerStatusResponse) -> Option<f64> {
    if status.flows_rate > 0.0 {
        Some(status.flows_rate)
    } else {
        (status.uptime_ns > 0).then(|| ratio(status.seen_flows, status.uptime_ns) * 1e9)
    }
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are printed")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
