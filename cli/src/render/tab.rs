//! A table: the columns are as wide as their longest cell, so nothing is written before the end.

use palomar_flow::view::Side;
use palomar_proto::flow::LostEvent;

use super::escape::push_escaped;
use super::event::push_name;
use super::host::push_host;
use super::printer::{Envelope, Options};
use super::shown::Shown;
use super::summary::push_summary;
use super::verdict::push_verdict;
use super::{Colour, lost};

/// Appends the header, its cells separated by tabs.
pub fn push_header(out: &mut String, options: Options) {
    out.push_str("TIMESTAMP\t");
    if options.print_node_name {
        out.push_str("NODE\t");
    }
    out.push_str("SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY");
}

/// Appends the cells of a flow.
pub fn push_flow(out: &mut String, options: Options, flow: &Shown<'_>, envelope: Envelope<'_>) {
    push_head(out, options, envelope);
    push_host(out, flow.end(Side::Source), options.naming, Colour::Off);
    out.push('\t');
    push_host(out, flow.end(Side::Destination), options.naming, Colour::Off);
    out.push('\t');
    push_name(out, flow);
    out.push('\t');
    push_verdict(out, flow, options.policy_names, Colour::Off);
    out.push('\t');
    push_summary(out, flow, Colour::Off);
}

/// Appends the cells of a loss.
pub fn push_lost(out: &mut String, options: Options, event: &LostEvent, envelope: Envelope<'_>) {
    push_head(out, options, envelope.dashed());
    let (cpu, count) = (lost::cpu(event).to_string(), lost::count(event, options.time));
    out.extend([&lost::source(event), "\t-\tEVENTS LOST\t-\tCPU(", &cpu, ") - ", &count]);
}

fn push_head(out: &mut String, options: Options, envelope: Envelope<'_>) {
    options.time.push(out, envelope.time);
    out.push('\t');
    if options.print_node_name {
        push_escaped(out, envelope.node_name);
        out.push('\t');
    }
}
