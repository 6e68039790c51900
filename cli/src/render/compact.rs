//! One line a flow: `time: source (identity) -> destination (identity) type verdict (summary)`.

use std::io::{self, Write};

use palomar_flow::view::Side;
use palomar_proto::flow::{Endpoint, Flow, LostEvent};

use super::escape::escape;
use super::host::host;
use super::printer::{Envelope, Options};
use super::summary::summary;
use super::verdict::verdict;
use super::{event, identity_name, lost};

/// Writes a flow. The ends of a reply are swapped, so that the client of a connection always stands on the left.
pub fn flow(out: &mut impl Write, options: Options, flow: &Flow, envelope: Envelope<'_>) -> io::Result<()> {
    let source = end(flow, Side::Source, options);
    let destination = end(flow, Side::Destination, options);
    let (left, arrow, right) = match flow.is_reply {
        None => (source, "<>", destination),
        Some(false) => (source, "->", destination),
        Some(true) => (destination, "<-", source),
    };
    let node =
        if options.print_node_name { format!(" [{}]", escape(envelope.node_name)) } else { String::new() };
    writeln!(
        out,
        "{}{node}: {left} {arrow} {right} {} {} ({})",
        options.time.print(envelope.time),
        event::name(flow),
        verdict(flow, options.policy_names, options.colour),
        summary(flow, options.colour),
    )
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
        options.time.print(envelope.time),
        lost::source(event),
        lost::cpu(event),
        lost::count(event, options.time),
    )
}

fn end(flow: &Flow, side: Side, options: Options) -> String {
    let endpoint: Option<&Endpoint> = side.of(&flow.source, &flow.destination).as_ref();
    let identity = identity_name(endpoint.map_or(0, |endpoint| endpoint.identity));
    let host = host(flow, side, options.naming, options.colour);
    format!("{host} {}", options.colour.identity(&format!("({identity})")))
}
