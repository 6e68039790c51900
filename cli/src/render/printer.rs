//! Responses to lines, in the format asked for.

use std::io::{self, Write};
use std::mem;

use palomar_flow::skim::Skimmed;
use palomar_proto::flow::{Flow, LostEvent};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::relay::NodeStatusEvent;
use prost_types::Timestamp;

use super::escape::escape;
use super::event::POLICY_VERDICT;
use super::host::Naming;
use super::json::Lines;
use super::sheet::Sheet;
use super::shown::{FLOW_PATH, KnownEnds, Shown, Source};
use super::verdict::PolicyNames;
use super::{Colour, compact, dict, node_status, tab};
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

/// When and where something happened: as a flow says, and of other things as the response around them does.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Empty if not told.
    pub node_name: &'a str,
    /// When it happened, in seconds and nanoseconds since 1970.
    pub time: Option<(i64, i32)>,
}

impl<'a> Envelope<'a> {
    /// Of a message.
    pub fn new(node_name: &'a str, time: Option<&Timestamp>) -> Self {
        Self { node_name, time: time.map(|time| (time.seconds, time.nanos)) }
    }

    /// The same, with `-` for a node that is not told, as in lines on losses.
    pub(super) const fn dashed(self) -> Self {
        if self.node_name.is_empty() { Self { node_name: "-", ..self } } else { self }
    }
}

/// Writes flows and losses to one stream and node states to another.
#[derive(Debug)]
pub struct Printer<O, E> {
    options: Options,
    out: O,
    err: E,
    table: Sheet,
    json: Lines,
    text: String,
    records: u64,
    known: KnownEnds,
}

// === impl Printer ===

impl<O: Write, E: Write> Printer<O, E> {
    /// A printer that has written nothing yet.
    pub fn new(options: Options, out: O, err: E) -> Self {
        Self {
            options,
            out,
            err,
            table: Sheet::default(),
            json: Lines::default(),
            text: String::new(),
            records: 0,
            known: KnownEnds::default(),
        }
    }

    /// Writes one response, or keeps it for the table. A response without content is nothing.
    pub fn print(&mut self, response: &GetFlowsResponse) -> io::Result<()> {
        let envelope = Envelope::new(&response.node_name, response.time.as_ref());
        match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => self.flow(response, flow),
            Some(ResponseTypes::LostEvents(lost)) => self.lost(response, lost, envelope),
            Some(ResponseTypes::NodeStatus(status)) => self.node_status(response, status, envelope),
            None => Ok(()),
        }
    }

    /// As in Hubble, a flow's own time and node are shown, not those of the response around it.
    fn flow(&mut self, response: &GetFlowsResponse, flow: &Flow) -> io::Result<()> {
        match self.options.format {
            Format::Json => self.json.write(&mut self.out, response),
            Format::LegacyJson => self.json.write(&mut self.out, flow),
            Format::Compact | Format::Dict | Format::Table => {
                self.shown(&Shown::from(flow), Envelope::new(&flow.node_name, flow.time.as_ref()))
            }
        }
    }

    /// Writes an encoded response of which [`PATHS`](super::PATHS) were skimmed, if it is about a flow and that is all
    /// that is needed; false: it has to be decoded.
    pub fn print_skimmed(&mut self, response: Skimmed<'_>) -> io::Result<bool> {
        let flow = || response.bytes(FLOW_PATH);
        match self.options.format {
            Format::Compact | Format::Dict | Format::Table => self.print_line(response),
            Format::Json | Format::LegacyJson if !response.has(FLOW_PATH) => Ok(false),
            Format::Json => {
                self.json.write_encoded::<GetFlowsResponse>(&mut self.out, response.encoded()).map(|()| true)
            }
            Format::LegacyJson => self.json.write_encoded::<Flow>(&mut self.out, flow()).map(|()| true),
        }
    }

    /// Writes the flow of a line in a text format, if the line is about a flow and has all that is shown; false: the
    /// whole line is needed.
    pub fn print_line<'a>(&mut self, line: impl Source<'a>) -> io::Result<bool> {
        let mut known = mem::take(&mut self.known);
        let printed = self.line(line, &mut known);
        self.known = known;
        printed
    }

    fn line<'a>(&mut self, line: impl Source<'a>, known: &mut KnownEnds) -> io::Result<bool> {
        let known = (self.options.naming == Naming::Names).then_some(known);
        let Some(flow) = Shown::of_source(line, known) else { return Ok(false) };
        if self.options.policy_names == PolicyNames::Show && flow.event.0 == POLICY_VERDICT {
            return Ok(false);
        }
        let (time, node_name) = Shown::envelope_of_source(line);
        self.shown(&flow, Envelope { node_name: &node_name, time })?;
        Ok(true)
    }

    /// Writes JSON that is already as it is to be.
    pub fn print_json(&mut self, json: &str) -> io::Result<()> {
        self.text.clear();
        self.text.push_str(json);
        self.text.push('\n');
        self.out.write_all(self.text.as_bytes())
    }

    fn shown(&mut self, flow: &Shown<'_>, envelope: Envelope<'_>) -> io::Result<()> {
        self.text.clear();
        self.rule();
        let (text, options) = (&mut self.text, self.options);
        match options.format {
            Format::Dict => dict::push_flow(text, options, flow, envelope),
            Format::Table => {
                self.header()?;
                tab::push_flow(&mut self.text, options, flow, envelope);
                return self.table.row(&self.text);
            }
            _ => compact::push_flow(text, options, flow, envelope),
        }
        self.out.write_all(self.text.as_bytes())
    }

    /// The header of a table that has no row.
    fn header(&mut self) -> io::Result<()> {
        if self.table.is_empty() {
            tab::push_header(&mut self.text, self.options);
            self.table.row(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    fn lost(
        &mut self,
        response: &GetFlowsResponse,
        lost: &LostEvent,
        envelope: Envelope<'_>,
    ) -> io::Result<()> {
        self.text.clear();
        self.rule();
        self.out.write_all(self.text.as_bytes())?;
        let (out, options) = (&mut self.out, self.options);
        match options.format {
            Format::Compact => compact::lost(out, options, lost, envelope),
            Format::Dict => dict::lost(out, options, lost, envelope),
            Format::Table => {
                self.header()?;
                tab::push_lost(&mut self.text, options, lost, envelope);
                self.table.row(&self.text)
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

    /// Appends the line between two records.
    fn rule(&mut self) {
        self.records += 1;
        if self.options.format == Format::Dict && self.records > 1 {
            self.text.push_str(dict::RULE);
            self.text.push('\n');
        }
    }

    /// Writes a line that belongs to what was written last, indented.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "    why: {}", escape(text))
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
