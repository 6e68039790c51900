//! Lines of which not all has to be read: a text format shows little of a flow, and JSON that is already as it would be
//! written can stay as it is.

use std::io::{self, Write};

use palomar_flow::json::{Picked, Picker};
use palomar_proto::observer::GetFlowsResponse;

use crate::render::{Format, PATHS, Printer, REPEATED};

/// What JSON needs of a line: whether it is about a flow, and when it was.
const JSON_PATHS: &[&str] = &["flow", "time"];

/// Looks at lines for one format.
#[derive(Debug)]
pub struct Glance {
    picker: Picker,
    format: Format,
    /// The places of flow and time among the paths.
    flow: usize,
    time: usize,
}

/// A line that was looked at.
pub struct Seen<'a> {
    line: Picked<'a>,
    format: Format,
    flow: usize,
    /// Of the response, in seconds and nanoseconds.
    pub time: Option<(i64, i32)>,
}

impl Glance {
    /// For a format.
    pub fn new(format: Format) -> Self {
        let paths = match format {
            Format::Json | Format::LegacyJson => JSON_PATHS,
            Format::Compact | Format::Dict | Format::Table => PATHS,
        };
        let place = |wanted: &str| paths.iter().position(|path| *path == wanted).unwrap_or(0);
        let picker = Picker::new::<GetFlowsResponse>(paths, REPEATED);
        Self { picker, format, flow: place("flow"), time: place("time") }
    }

    /// What a glance sees of a line; `None`: it has to be read.
    pub fn at<'a>(&'a mut self, line: &'a [u8]) -> Option<Seen<'a>> {
        let (format, flow, time) = (self.format, self.flow, self.time);
        let line = self.picker.pick(line)?;
        Some(Seen { line, format, flow, time: line.time(time) })
    }
}

impl Seen<'_> {
    /// Whether the line is about a flow.
    pub fn is_flow(&self) -> bool {
        self.line.raw(self.flow).is_some()
    }

    /// Prints the line; false: it has to be read for that.
    pub fn print<O: Write, E: Write>(&self, printer: &mut Printer<O, E>) -> io::Result<bool> {
        match (self.format, self.line.raw(self.flow)) {
            (_, None) => Ok(false),
            (Format::Json, Some(_)) => printer.print_json(self.line.line()).map(|()| true),
            (Format::LegacyJson, Some(flow)) => printer.print_json(flow).map(|()| true),
            (Format::Compact | Format::Dict | Format::Table, Some(_)) => printer.print_line(self.line),
        }
    }
}
