//! Flows from files of JSON lines.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use palomar_flow::filter::Filters;
use palomar_flow::json;
use palomar_flow::view::NoFlow;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use super::input::{self, LINE_LIMIT, Line, Lines};
use super::live::BUFFER;
use super::request::Observe;
use super::selectors::Selectors;
use crate::log;
use crate::render::Printer;
use crate::surroundings::Surroundings;

/// The last responses of a file are kept in memory: no more than so many.
const MOST_LAST: u64 = 1_000_000;

/// Prints the responses of the files that match, one file after the other. Masks are not applied, and nothing is
/// followed.
pub fn run(observe: &Observe, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let opened = input::open(&observe.input_files, &mut *surroundings.input)?;
    let filters = Filters::compile(&observe.request.whitelist, &observe.request.blacklist)?;
    if let Some(last) = observe.selectors.last.filter(|last| *last > MOST_LAST) {
        bail!("--last must be <= 1_000_000, got {last}");
    }
    let out = BufWriter::with_capacity(BUFFER, &mut *surroundings.out);
    let printer = Printer::new(observe.options, out, &mut *surroundings.err);
    let mut copy = Copy {
        filters,
        selectors: &observe.selectors,
        left: observe.selectors.first.unwrap_or(u64::MAX),
        kept: VecDeque::new(),
        unknown_told: false,
        printer,
    };
    let mut outcome = Ok(());
    for (name, reader) in opened {
        let read = input::unpacked(reader).map_err(anyhow::Error::from).and_then(|reader| copy.file(reader));
        outcome = read.with_context(|| format!("read {name}"));
        if outcome.is_err() || copy.left == 0 {
            break;
        }
    }
    // also what came of a file that broke
    let finished = copy.finish();
    outcome?;
    Ok(finished?)
}

struct Copy<'a, O, E> {
    filters: Filters,
    selectors: &'a Selectors,
    /// Responses that are still wanted.
    left: u64,
    /// The last ones, if only those are wanted.
    kept: VecDeque<GetFlowsResponse>,
    /// Whether it was said that something in the input is not known.
    unknown_told: bool,
    printer: Printer<O, E>,
}

impl<O: Write, E: Write> Copy<'_, O, E> {
    fn file(&mut self, reader: impl io::Read) -> Result<()> {
        let mut lines = Lines::new(reader);
        while self.left > 0 {
            // what was printed is handed on before more input is waited for, which may be long in coming
            let Some(line) = lines.next(|| self.printer.flush())? else { break };
            let Some(response) = self.parse(&line)? else { continue };
            if is_in_range(&response, self.selectors) && matches(&self.filters, &response) {
                self.take(response)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, response: GetFlowsResponse) -> io::Result<()> {
        self.left -= 1;
        match self.selectors.last {
            None => self.printer.print(&response)?,
            Some(last) => {
                self.kept.push_back(response);
                if u64::try_from(self.kept.len()).is_ok_and(|kept| kept > last) {
                    self.kept.pop_front();
                }
            }
        }
        Ok(())
    }

    /// The response of a line, if it is one. Other lines are warned of, as are fields that are not known, once.
    fn parse(&mut self, line: &Line<'_>) -> io::Result<Option<GetFlowsResponse>> {
        let bytes = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return Ok(None),
            Line::Whole(line) => *line,
            Line::TooLong => {
                let error = format!("it is longer than {LINE_LIMIT} bytes");
                self.warn("a line is left out", "error", &error)?;
                return Ok(None);
            }
        };
        match json::parse::<GetFlowsResponse>(&String::from_utf8_lossy(bytes)) {
            Ok(parsed) => {
                if let Some(unknown) = parsed.unknown.filter(|_| !self.unknown_told) {
                    self.unknown_told = true;
                    self.warn("what is not known of the input is left out", "first", &unknown.to_string())?;
                }
                Ok(Some(parsed.message))
            }
            Err(error) => {
                self.warn("a line is left out", "error", &error.to_string())?;
                Ok(None)
            }
        }
    }

    fn warn(&mut self, message: &str, name: &str, value: &str) -> io::Result<()> {
        log::line(self.printer.err(), log::Level::Warn, message, &[(name, value.into())])
    }

    fn finish(mut self) -> io::Result<()> {
        for response in std::mem::take(&mut self.kept) {
            self.printer.print(&response)?;
        }
        self.printer.finish()
    }
}

fn matches(filters: &Filters, response: &GetFlowsResponse) -> bool {
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => filters.matches(flow),
        _ => filters.matches(&NoFlow),
    }
}

/// Both ends of the range belong to it. A response without time is of 1970, as in Hubble.
fn is_in_range(response: &GetFlowsResponse, selectors: &Selectors) -> bool {
    let time = response
        .time
        .as_ref()
        .map_or(0, |time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos));
    selectors.since.is_none_or(|since| nanos(since) <= time)
        && selectors.until.is_none_or(|until| time <= nanos(until))
}

fn nanos(time: DateTime<Utc>) -> i128 {
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}
