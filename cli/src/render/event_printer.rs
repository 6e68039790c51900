//! Agent and debug events to lines, in the format asked for.

use std::io::{self, ErrorKind, Write};
use std::marker::PhantomData;

use palomar_flow::json::JsonMessage;

use super::Columns;
use super::dict::{RULE, field};
use super::escape::escape;
use super::json::Lines;
use super::printer::{Envelope, Format, Options};

/// A response with one event of its kind.
pub trait EventResponse: JsonMessage {
    /// The event.
    type Event: JsonMessage;

    /// The columns of a table, after time and node.
    const HEADER: &'static [&'static str];
    /// What is wrong with a response that has none.
    const NO_EVENT: &'static str;

    /// What it tells.
    fn event(&self) -> Option<&Self::Event>;

    /// What it says beside that.
    fn envelope(&self) -> Envelope<'_>;

    /// The event on a line, after time and node; escaped, as in the other forms.
    fn line(event: &Self::Event, options: Options) -> String;

    /// The event in named fields.
    fn fields(event: &Self::Event, options: Options) -> Vec<(&'static str, String)>;

    /// The event in the columns of the header.
    fn cells(event: &Self::Event, options: Options) -> Vec<String>;
}

/// Writes events of one kind.
#[derive(Debug)]
pub struct EventPrinter<R, O> {
    options: Options,
    out: O,
    table: Columns,
    json: Lines,
    records: u64,
    kind: PhantomData<R>,
}

impl<R: EventResponse, O: Write> EventPrinter<R, O> {
    /// A printer that has written nothing yet.
    pub fn new(options: Options, out: O) -> Self {
        let (table, json) = (Columns::default(), Lines::default());
        Self { options, out, table, json, records: 0, kind: PhantomData }
    }

    /// Writes one event, or keeps it for the table. A response without event is an error.
    pub fn print(&mut self, response: &R) -> io::Result<()> {
        let no_event = || io::Error::new(ErrorKind::InvalidData, R::NO_EVENT);
        let (event, envelope) = (response.event().ok_or_else(no_event)?, response.envelope());
        self.records += 1;
        let options = self.options;
        match options.format {
            Format::Compact => {
                let node = if options.print_node_name {
                    format!(" [{}]", escape(envelope.node_name))
                } else {
                    String::new()
                };
                let time = options.time.text(envelope.time);
                writeln!(self.out, "{time}{node}: {}", R::line(event, options))
            }
            Format::Dict => self.dict(event, envelope),
            Format::Table => {
                self.row(event, envelope);
                Ok(())
            }
            Format::Json => self.json.write(&mut self.out, response),
            Format::LegacyJson => self.json.write(&mut self.out, event),
        }
    }

    fn dict(&mut self, event: &R::Event, envelope: Envelope<'_>) -> io::Result<()> {
        let (out, options) = (&mut self.out, self.options);
        if self.records > 1 {
            writeln!(out, "{RULE}")?;
        }
        field(out, "TIMESTAMP", &options.time.text(envelope.time))?;
        if options.print_node_name {
            field(out, "NODE", &escape(envelope.node_name))?;
        }
        R::fields(event, options).iter().try_for_each(|(name, value)| field(out, name, value))
    }

    fn row(&mut self, event: &R::Event, envelope: Envelope<'_>) {
        let options = self.options;
        if self.table.is_empty() {
            let node = options.print_node_name.then_some("NODE");
            let rest = R::HEADER.iter().copied();
            self.table.line(&["TIMESTAMP"].into_iter().chain(node).chain(rest).collect::<Vec<_>>());
        }
        let time = options.time.text(envelope.time);
        let node = escape(envelope.node_name);
        let node = options.print_node_name.then_some(node.as_ref());
        let cells = R::cells(event, options);
        let cells = cells.iter().map(String::as_str);
        self.table.line(&[time.as_str()].into_iter().chain(node).chain(cells).collect::<Vec<_>>());
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
