//! Responses to lines, in the format asked for.

use std::borrow::Cow;
use std::io::{self, Write};

use palomar_proto::flow::{Flow, LostEvent};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::relay::NodeStatusEvent;
use prost_types::Timestamp;

use super::escape::escape;
use super::host::Naming;
use super::json::Lines;
use super::verdict::PolicyNames;
use super::{Colour, Columns, compact, dict, node_status, tab};
use crate::time::TimeFormat;

/// How responses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line a flow.
    Compact,
    /// One field a line.
    Dict,
    /// Columns; written at the end.
    Table,
    /// One response a line, as JSON.
    Json,
    /// One flow a line, as JSON, without the response around it.
    LegacyJson,
}

/// Which changes of a relay's nodes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStates {
    /// None.
    Silent,
    /// Unavailable nodes and errors.
    Trouble,
    /// All.
    All,
}

/// What lines look like.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How responses are written.
    pub format: Format,
    /// How times are written; JSON has its own way.
    pub time: TimeFormat,
    /// Names or numbers.
    pub naming: Naming,
    /// Whether deciding policies are named.
    pub policy_names: PolicyNames,
    /// Whether lines say which node they come from.
    pub print_node_name: bool,
    /// Colours; a table and JSON have none.
    pub colour: Colour,
    /// Which node states are told.
    pub node_states: NodeStates,
}

/// What a response says beside its content.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Empty if not told.
    pub node_name: &'a str,
    /// When it happened.
    pub time: Option<&'a Timestamp>,
}

impl Envelope<'_> {
    /// The node, escaped; `-` if not told.
    pub(super) fn node(&self) -> Cow<'_, str> {
        if self.node_name.is_empty() { Cow::Borrowed("-") } else { escape(self.node_name) }
    }
}

/// Writes flows and losses to one stream and node states to another.
#[derive(Debug)]
pub struct Printer<O, E> {
    options: Options,
    out: O,
    err: E,
    table: Columns,
    json: Lines,
    records: u64,
}

// === impl Printer ===

impl<O: Write, E: Write> Printer<O, E> {
    /// A printer that has written nothing yet.
    pub fn new(options: Options, out: O, err: E) -> Self {
        Self { options, out, err, table: Columns::default(), json: Lines::default(), records: 0 }
    }

    /// Writes one response, or keeps it for the table. A response without content is nothing.
    pub fn print(&mut self, response: &GetFlowsResponse) -> io::Result<()> {
        let envelope = Envelope { node_name: &response.node_name, time: response.time.as_ref() };
        match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => self.flow(response, flow, envelope),
            Some(ResponseTypes::LostEvents(lost)) => self.lost(response, lost, envelope),
            Some(ResponseTypes::NodeStatus(status)) => self.node_status(response, status, envelope),
            None => Ok(()),
        }
    }

    fn flow(&mut self, response: &GetFlowsResponse, flow: &Flow, envelope: Envelope<'_>) -> io::Result<()> {
        self.rule()?;
        let (out, options) = (&mut self.out, self.options);
        match options.format {
            Format::Compact => compact::flow(out, options, flow, envelope),
            Format::Dict => dict::flow(out, options, flow, envelope),
            Format::Table => {
                tab::flow(&mut self.table, options, flow, envelope);
                Ok(())
            }
            Format::Json => self.json.write(out, response),
            Format::LegacyJson => self.json.write(out, flow),
        }
    }

    fn lost(
        &mut self,
        response: &GetFlowsResponse,
        lost: &LostEvent,
        envelope: Envelope<'_>,
    ) -> io::Result<()> {
        self.rule()?;
        let (out, options) = (&mut self.out, self.options);
        match options.format {
            Format::Compact => compact::lost(out, options, lost, envelope),
            Format::Dict => dict::lost(out, options, lost, envelope),
            Format::Table => {
                tab::lost(&mut self.table, options, lost, envelope);
                Ok(())
            }
            Format::Json => self.json.write(out, response),
            Format::LegacyJson => self.json.write(out, lost),
        }
    }

    fn node_status(
        &mut self,
        response: &GetFlowsResponse,
        status: &NodeStatusEvent,
        envelope: Envelope<'_>,
    ) -> io::Result<()> {
        let told = match self.options.node_states {
            NodeStates::Silent => false,
            NodeStates::Trouble => node_status::is_trouble(status),
            NodeStates::All => true,
        };
        if !told {
            return Ok(());
        }
        // both streams often end on one terminal: what came first is to stand first
        self.out.flush()?;
        match self.options.format {
            Format::Compact | Format::Table => {
                node_status::line(&mut self.err, self.options, status, envelope)?;
            }
            Format::Dict => {
                let is_first = self.records == 0;
                self.records += 1;
                node_status::dict(&mut self.err, self.options, status, envelope, is_first)?;
            }
            Format::Json => self.json.write(&mut self.err, response)?,
            // as in Hubble
            Format::LegacyJson => {}
        }
        self.err.flush()
    }

    /// The line between two records.
    fn rule(&mut self) -> io::Result<()> {
        self.records += 1;
        match (self.options.format, self.records) {
            (Format::Dict, 2..) => writeln!(self.out, "{}", dict::RULE),
            _ => Ok(()),
        }
    }

    /// The stream for what is not the answer.
    pub fn err(&mut self) -> &mut E {
        &mut self.err
    }

    /// Hands on what was written so far.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the table, if there is one, and hands everything on.
    pub fn finish(mut self) -> io::Result<()> {
        self.table.write(&mut self.out)?;
        self.out.flush()
    }
}
