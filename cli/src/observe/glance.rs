//! Lines of which not all has to be read: a text format shows little of a flow, filters ask for some fields, and JSON
//! that is already as it would be written can stay as it is.

use std::io::{self, Write};

use palomar_flow::filter::{Filters, Memo};
use palomar_flow::json::{Picked, Picker};
use palomar_flow::view::{LineFlow, LinePaths};
use palomar_proto::observer::GetFlowsResponse;

use crate::render::{Format, PATHS, Printer, REPEATED};

/// What every format needs of a line: whether it is about a flow, and the time by which it is in the range.
const ALWAYS: [&str; 2] = ["flow", "time"];

/// Looks at lines for one format.
#[derive(Debug)]
pub struct Glance {
    picker: Picker,
    format: Format,
    /// The places of flow and time among the paths.
    flow: usize,
    time: usize,
    asked: Asked,
}

/// What filters read of a line; nothing where there are none.
#[derive(Debug)]
struct Asked {
    paths: Option<LinePaths>,
    memo: Memo,
}

/// A line that was looked at.
pub struct Seen<'a> {
    line: Picked<'a>,
    format: Format,
    flow: usize,
    time: usize,
    asked: &'a mut Asked,
}

impl Glance {
    /// For a format, and for filters that let not everything through.
    pub fn new(format: Format, filters: &Filters) -> Self {
        // the printer finds its own by their places, so that they stand first
        let mut paths = match format {
            Format::Json | Format::LegacyJson => Vec::new(),
            Format::Compact | Format::Dict | Format::Table => PATHS.to_vec(),
        };
        let asked = if filters.is_unrestricted() { &[] } else { LinePaths::ALL };
        for path in ALWAYS.iter().chain(asked) {
            if !paths.contains(path) {
                paths.push(path);
            }
        }
        let place = |wanted: &str| paths.iter().position(|path| *path == wanted).unwrap_or(0);
        Self {
            picker: Picker::new::<GetFlowsResponse>(&paths, REPEATED),
            format,
            flow: place("flow"),
            time: place("time"),
            asked: Asked {
                paths: (!filters.is_unrestricted()).then(|| LinePaths::within(&paths)),
                memo: Memo::default(),
            },
        }
    }

    /// What a glance sees of a line about a flow; `None`: it has to be read.
    pub fn at<'a>(&'a mut self, line: &'a [u8]) -> Option<Seen<'a>> {
        let (format, flow, time) = (self.format, self.flow, self.time);
        let line = self.picker.pick(line)?;
        if !line.has(flow) {
            return None;
        }
        Some(Seen { line, format, flow, time, asked: &mut self.asked })
    }
}

impl Seen<'_> {
    /// Of the response, in seconds and nanoseconds.
    pub fn time(&self) -> Option<(i64, i32)> {
        self.line.time(self.time)
    }

    /// Whether the filters that the glance is for want the flow.
    pub fn is_wanted(&mut self, filters: &Filters) -> bool {
        let Asked { paths, memo } = &mut *self.asked;
        paths.as_ref().is_none_or(|paths| filters.matches_with(&&LineFlow::new(self.line, paths), memo))
    }

    /// Prints the line; false: it has to be read for that.
    pub fn print<O: Write, E: Write>(&self, printer: &mut Printer<O, E>) -> io::Result<bool> {
        match self.format {
            Format::Compact | Format::Dict | Format::Table => printer.print_line(self.line),
            Format::Json => printer.print_json(self.line.line()).map(|()| true),
            Format::LegacyJson => match self.line.raw(self.flow) {
                Some(flow) => printer.print_json(flow).map(|()| true),
                None => Ok(false),
            },
        }
    }
}
