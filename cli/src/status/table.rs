//! The status in fields, below each other or in columns.

use std::io::{self, Write};

use palomar_proto::observer::ServerStatusResponse;

use super::grouped;
use crate::render::Columns;
use crate::render::escape::escape;
use crate::time::format_duration;

/// One field a line, aligned to the right.
pub fn dict(status: &ServerStatusResponse, out: &mut dyn Write) -> io::Result<()> {
    fields(status, "NUM UNAVAIL. NODES")
        .iter()
        .try_for_each(|(name, value)| writeln!(out, "{name:>19}: {value}"))
}

/// A header and a line.
pub fn table(status: &ServerStatusResponse, out: &mut dyn Write) -> io::Result<()> {
    let fields = fields(status, "NUM UNAVAILABLE NODES");
    let mut columns = Columns::default();
    columns.line(&fields.each_ref().map(|(name, _)| *name));
    columns.line(&fields.each_ref().map(|(_, value)| value.as_str()));
    columns.write(out)
}

fn fields(status: &ServerStatusResponse, unavailable: &'static str) -> [(&'static str, String); 8] {
    let not_available = || "N/A".to_owned();
    let nodes = |number: Option<u32>| number.map_or_else(not_available, |number| number.to_string());
    let rate = if status.flows_rate > 0.0 { format!("{:.2}", status.flows_rate) } else { not_available() };
    [
        ("NUM FLOWS", grouped(status.num_flows)),
        ("MAX FLOWS", grouped(status.max_flows)),
        ("SEEN FLOWS", grouped(status.seen_flows)),
        ("FLOWS PER SECOND", rate),
        ("UPTIME", format_duration(status.uptime_ns)),
        ("NUM CONNECTED NODES", nodes(status.num_connected_nodes)),
        (unavailable, nodes(status.num_unavailable_nodes)),
        ("VERSION", escape(&status.version).into_owned()),
    ]
}
