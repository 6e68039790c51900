//! Flows from a file of JSON lines.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use palomar_flow::filter::Filters;
use palomar_flow::json;
use palomar_flow::view::NoFlow;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use super::request::Observe;
use super::selectors::Selectors;
use crate::log;
use crate::render::Printer;
use crate::surroundings::Surroundings;

/// Bytes of a line; a longer one is no flow.
const LINE_LIMIT: u64 = 1 << 20;

/// Prints the responses of a file that match; `-` is stdin. Masks are not applied, and nothing is followed.
pub fn run(path: &str, observe: &Observe, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let filters = Filters::compile(&observe.request.whitelist, &observe.request.blacklist)?;
    let mut file;
    let input: &mut dyn BufRead = if path == "-" {
        &mut *surroundings.input
    } else {
        file = BufReader::new(open(path)?);
        &mut file
    };
    let mut printer =
        Printer::new(observe.options, BufWriter::new(&mut *surroundings.out), &mut *surroundings.err);
    let mut reader = Reader { input, unknown_told: false };
    let outcome = copy(&mut reader, &filters, &observe.selectors, &mut printer);
    let finished = printer.finish();
    outcome?;
    Ok(finished?)
}

/// The error is worded as Go's.
fn open(path: &str) -> Result<File> {
    use std::io::ErrorKind;
    match File::open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("open {path}: no such file or directory"),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!("open {path}: permission denied"),
        Err(error) => bail!("open {path}: {error}"),
    }
}

fn copy<O: Write, E: Write>(
    reader: &mut Reader<'_>,
    filters: &Filters,
    selectors: &Selectors,
    printer: &mut Printer<O, E>,
) -> Result<()> {
    let mut kept = VecDeque::new();
    let mut left = selectors.first.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(response) = reader.next(printer.err())? else { break };
        if !is_in_range(&response, selectors) || !matches(filters, &response) {
            continue;
        }
        left -= 1;
        match selectors.last {
            None => printer.print(&response)?,
            Some(last) => {
                kept.push_back(response);
                if u64::try_from(kept.len()).is_ok_and(|kept| kept > last) {
                    kept.pop_front();
                }
            }
        }
    }
    kept.iter().try_for_each(|response| printer.print(response))?;
    Ok(())
}

fn matches(filters: &Filters, response: &GetFlowsResponse) -> bool {
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => filters.matches(flow),
        _ => filters.matches(&NoFlow),
    }
}

/// Both ends of the range belong to it. A response without time is older than any.
fn is_in_range(response: &GetFlowsResponse, selectors: &Selectors) -> bool {
    let time = response
        .time
        .as_ref()
        .map_or(i128::MIN, |time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos));
    selectors.since.is_none_or(|since| nanos(since) <= time)
        && selectors.until.is_none_or(|until| time <= nanos(until))
}

fn nanos(time: DateTime<Utc>) -> i128 {
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}

struct Reader<'a> {
    input: &'a mut dyn BufRead,
    unknown_told: bool,
}

impl Reader<'_> {
    /// The next line that is a response. Others are warned of, as are fields that are not known, once.
    fn next(&mut self, err: &mut dyn Write) -> Result<Option<GetFlowsResponse>> {
        loop {
            let mut line = Vec::new();
            let mut limited = std::io::Read::take(&mut *self.input, LINE_LIMIT);
            if limited.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            if u64::try_from(line.len()).is_ok_and(|length| length == LINE_LIMIT)
                && line.last() != Some(&b'\n')
            {
                bail!("a line of the input is longer than {LINE_LIMIT} bytes");
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            match json::parse::<GetFlowsResponse>(&text) {
                Ok(parsed) => {
                    if let Some(unknown) = parsed.unknown.filter(|_| !self.unknown_told) {
                        self.unknown_told = true;
                        let message = "what is not known of the input is left out";
                        log::line(err, log::Level::Warn, message, &[("first", &unknown.to_string())])?;
                    }
                    return Ok(Some(parsed.message));
                }
                Err(error) => {
                    let message = "a line is left out";
                    log::line(err, log::Level::Warn, message, &[("error", &error.to_string())])?;
                }
            }
        }
    }
}
