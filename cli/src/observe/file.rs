//! Flows from files of JSON lines.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result};
use palomar_flow::filter::Filters;
use palomar_flow::json;
use palomar_flow::view::NoFlow;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use super::glance::Glance;
use super::input::{self, LINE_LIMIT, Line, Lines};
use super::live::BUFFER;
use super::request::Observe;
use super::selectors::Selectors;
use crate::log;
use crate::render::Printer;
use crate::surroundings::Surroundings;

/// Lines of a file that are told one by one when they are left out; of more only the number is told.
const MOST_TOLD: u64 = 20;

/// Prints the responses of the files that match, one file after the other. Masks are not applied, and nothing is
/// followed.
pub fn run(observe: &Observe, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let opened = input::open(&observe.input_files, &mut *surroundings.input)?;
    let request = &observe.request;
    let filters = Filters::compile(&request.whitelist, &request.blacklist)?;
    observe.selectors.check_kept()?;
    let out = BufWriter::with_capacity(BUFFER, &mut *surroundings.out);
    let printer = Printer::new(observe.options, out, &mut *surroundings.err);
    let mut copy = Copy {
        glance: Glance::new(observe.options.format, &filters),
        selectors: &observe.selectors,
        left: observe.selectors.first.unwrap_or(u64::MAX),
        kept: VecDeque::new(),
        reader: Reader { filters, unknown_told: false, left_out: 0 },
        printer,
    };
    let mut outcome = Ok(());
    for (name, reader) in opened {
        let read =
            input::unpacked(reader).map_err(anyhow::Error::from).and_then(|reader| copy.file(name, reader));
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
    /// What is enough for most lines.
    glance: Glance,
    selectors: &'a Selectors,
    /// Responses that are still wanted.
    left: u64,
    /// The last ones, if only those are wanted.
    kept: VecDeque<Kept>,
    reader: Reader,
    printer: Printer<O, E>,
}

/// A response that may be among the last.
enum Kept {
    /// A line that a glance is enough for.
    Line(Box<[u8]>),
    /// Any other.
    Response(Box<GetFlowsResponse>),
}

impl<O: Write, E: Write> Copy<'_, O, E> {
    fn file(&mut self, name: &str, reader: impl io::Read) -> Result<()> {
        self.reader.left_out = 0;
        let copied = self.lines(name, Lines::new(reader));
        self.reader.finish(name, self.printer.err())?;
        copied
    }

    fn lines(&mut self, name: &str, mut lines: Lines<impl io::Read>) -> Result<()> {
        let mut number = 0;
        while self.left > 0 {
            // what was printed is handed on before more input is waited for, which may be long in coming
            let Some(line) = lines.next(|| self.printer.flush())? else { break };
            number += 1;
            if let Line::Whole(line) = line
                && self.take_line(line)?
            {
                continue;
            }
            let place = Place { name, number };
            let Some(response) = self.reader.read(&line, place, self.printer.err())? else { continue };
            let time = response.time.as_ref().map(|time| (time.seconds, time.nanos));
            if self.selectors.have(|| time) && self.reader.matches(&response) {
                self.take(response)?;
            }
        }
        Ok(())
    }

    /// Prints, keeps or leaves out a line that a glance is enough for; false: it is not.
    fn take_line(&mut self, line: &[u8]) -> io::Result<bool> {
        let Some(mut seen) = self.glance.at(line) else { return Ok(false) };
        if !self.selectors.have(|| seen.time()) || !seen.is_wanted(&self.reader.filters) {
            return Ok(true);
        }
        if let Some(last) = self.selectors.last {
            self.left -= 1;
            self.keep(Kept::Line(line.into()), last);
            return Ok(true);
        }
        let printed = seen.print(&mut self.printer)?;
        self.left -= u64::from(printed);
        Ok(printed)
    }

    fn take(&mut self, response: GetFlowsResponse) -> io::Result<()> {
        self.left -= 1;
        match self.selectors.last {
            None => self.printer.print(&response)?,
            Some(last) => self.keep(Kept::Response(Box::new(response)), last),
        }
        Ok(())
    }

    fn keep(&mut self, kept: Kept, last: u64) {
        self.kept.push_back(kept);
        if u64::try_from(self.kept.len()).is_ok_and(|kept| kept > last) {
            self.kept.pop_front();
        }
    }

    fn finish(mut self) -> io::Result<()> {
        for kept in std::mem::take(&mut self.kept) {
            let response = match kept {
                Kept::Response(response) => Some(*response),
                Kept::Line(line) => {
                    let seen = self.glance.at(&line);
                    match seen.map(|seen| seen.print(&mut self.printer)).transpose()? {
                        Some(true) => None,
                        // it is as whole as a glance found it before
                        _ => self.reader.read(&Line::Whole(&line), Place::default(), self.printer.err())?,
                    }
                }
            };
            response.iter().try_for_each(|response| self.printer.print(response))?;
        }
        self.printer.finish()
    }
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place<'a> {
    /// The file, as it was given.
    name: &'a str,
    /// Counted from 1.
    number: u64,
}

/// Reads whole responses, and judges them.
struct Reader {
    filters: Filters,
    /// Whether it was said that something in the input is not known.
    unknown_told: bool,
    /// Lines of the file that were no responses.
    left_out: u64,
}

impl Reader {
    /// The response of a line, if it is one. Other lines are warned of, as are fields that are not known, once.
    fn read(
        &mut self,
        line: &Line<'_>,
        place: Place<'_>,
        err: &mut dyn Write,
    ) -> io::Result<Option<GetFlowsResponse>> {
        let bytes = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return Ok(None),
            Line::Whole(line) => *line,
            Line::TooLong => {
                let error = format!("it is longer than {LINE_LIMIT} bytes");
                self.leave_out(place, &error, err)?;
                return Ok(None);
            }
        };
        match json::parse::<GetFlowsResponse>(&String::from_utf8_lossy(bytes)) {
            Ok(parsed) => {
                if let Some(unknown) = parsed.unknown.filter(|_| !self.unknown_told) {
                    self.unknown_told = true;
                    let message = "what is not known of the input is left out";
                    warn(message, place, ("first", &unknown.to_string()), err)?;
                }
                Ok(Some(parsed.message))
            }
            Err(error) => {
                self.leave_out(place, &error.to_string(), err)?;
                Ok(None)
            }
        }
    }

    fn leave_out(&mut self, place: Place<'_>, error: &str, err: &mut dyn Write) -> io::Result<()> {
        self.left_out += 1;
        if self.left_out > MOST_TOLD {
            return Ok(());
        }
        warn("a line is left out", place, ("error", error), err)
    }

    /// Tells of those lines of a file that were not told one by one.
    fn finish(&self, name: &str, err: &mut dyn Write) -> io::Result<()> {
        let untold = self.left_out.saturating_sub(MOST_TOLD);
        if untold == 0 {
            return Ok(());
        }
        let fields = [("input", name.into()), ("lines", untold.to_string().into())];
        log::line(err, log::Level::Warn, "more lines are left out", &fields)
    }

    fn matches(&self, response: &GetFlowsResponse) -> bool {
        match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => self.filters.matches(flow),
            _ => self.filters.matches(&NoFlow),
        }
    }
}

fn warn(
    message: &str,
    Place { name, number }: Place<'_>,
    (what, text): (&str, &str),
    err: &mut dyn Write,
) -> io::Result<()> {
    let fields = [("input", name.into()), ("line", number.to_string().into()), (what, text.into())];
    log::line(err, log::Level::Warn, message, &fields)
}
