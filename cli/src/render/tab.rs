//! A table: the columns are as wide as their longest cell, so nothing is written before the end.

use palomar_flow::view::Side;
use palomar_proto::flow::{Flow, LostEvent};

use super::Columns;
use super::host::host;
use super::printer::{Envelope, Options};
use super::summary::summary;
use super::verdict::verdict;
use super::{Colour, event, lost};

/// Adds a flow; before the first row, the header.
pub fn flow(table: &mut Columns, options: Options, flow: &Flow, envelope: Envelope<'_>) {
    let source = host(flow, Side::Source, options.naming, Colour::Off);
    let destination = host(flow, Side::Destination, options.naming, Colour::Off);
    let verdict = verdict(flow, options.policy_names, Colour::Off);
    let summary = summary(flow, Colour::Off);
    row(table, options, envelope, &[source, destination, event::name(flow), verdict, summary]);
}

/// Adds a loss; before the first row, the header.
pub fn lost(table: &mut Columns, options: Options, event: &LostEvent, envelope: Envelope<'_>) {
    let none = || "-".to_owned();
    let summary = format!("CPU({}) - {}", lost::cpu(event), lost::count(event, options.time));
    row(table, options, envelope, &[lost::source(event), none(), "EVENTS LOST".to_owned(), none(), summary]);
}

fn row(table: &mut Columns, options: Options, envelope: Envelope<'_>, cells: &[String; 5]) {
    if table.is_empty() {
        let node = options.print_node_name.then_some("NODE");
        let rest = ["SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"];
        table.line(&["TIMESTAMP"].into_iter().chain(node).chain(rest).collect::<Vec<_>>());
    }
    let time = options.time.print(envelope.time);
    let node = envelope.node();
    let node = options.print_node_name.then_some(node.as_ref());
    let cells = cells.iter().map(String::as_str);
    table.line(&[time.as_str()].into_iter().chain(node).chain(cells).collect::<Vec<_>>());
}
