//! The resolved command line: what is asked, of whom, and how the answer is printed.

use std::io::{self, Write};

use anyhow::{Result, bail};
use chrono::DateTime;
use palomar_flow::json;
use palomar_proto::flow::FlowFilter;
use palomar_proto::observer::GetFlowsRequest;
use prost_types::Timestamp;

use super::filter::Filters;
use super::selectors::Selectors;
use super::{mask, output};
use crate::arguments::Given;
use crate::log;
use crate::render::{Format, Options};
use crate::surroundings::Surroundings;

/// An `observe` command that is free of contradictions.
#[derive(Debug)]
pub struct Observe {
    /// For the server.
    pub request: GetFlowsRequest,
    /// The part of it that says which part of the past.
    pub selectors: Selectors,
    /// How to print.
    pub options: Options,
    /// Files to read from, instead of a server.
    pub input_files: Vec<String>,
    /// Say below each flow why it was judged as it was.
    pub why: bool,
    /// Print the filters, and send nothing.
    pub print_raw_filters: bool,
    debug: bool,
}

impl Observe {
    /// Resolves the flags. Contradictions are told in the order in which Hubble's CLI looks for them.
    pub fn from_flags(given: &Given, filters: Filters, surroundings: &Surroundings<'_>) -> Result<Self> {
        filters.check_end()?;
        let options = output::options(given, surroundings)?;
        let selectors = Selectors::from_flags(given, surroundings.now)?;
        let lists = filters.into_lists(given)?;
        let why = given.switch("why")?;
        if why && !matches!(options.format, Format::Compact | Format::Dict) {
            bail!("--why is a line of text below each flow; choose an --output from: compact, dict");
        }
        if why && given.has("input-file") {
            bail!(
                "cannot use --why and --input-file together: only an agent tells what was in force when a flow was"
            );
        }
        let fields = given.list("field-mask");
        let field_mask = if !fields.is_empty() {
            Some(mask::custom_mask(fields)?)
        } else if !why && given.toggle("use-default-field-masks")? && options.format != Format::Json {
            Some(mask::default_mask())
        } else {
            None
        };
        let files = given.all("input-file").map(|entry| entry.value.clone());
        let input_files: Vec<String> = files.filter(|file| !file.is_empty()).collect();
        let mut request = GetFlowsRequest {
            whitelist: lists.allow,
            blacklist: lists.deny,
            field_mask,
            ..GetFlowsRequest::default()
        };
        if input_files.is_empty() {
            selectors.apply(&mut request);
        }
        Ok(Self {
            request,
            selectors,
            options,
            input_files,
            why,
            print_raw_filters: given.switch("print-raw-filters")?,
            debug: given.switch("debug")?,
        })
    }

    /// With `--debug`, says on stderr what is asked.
    pub fn tell_request(&self, of: &str, surroundings: &mut Surroundings<'_>) -> Result<()> {
        if !self.debug {
            return Ok(());
        }
        let GetFlowsRequest { number, first, follow, whitelist, blacklist, since, until, field_mask, .. } =
            &self.request;
        let fields = field_mask.as_ref().map_or_else(String::new, |mask| mask.paths.join(","));
        let text = format!(
            "number={number} first={first} follow={follow} since={} until={} allowlist=[{}] denylist=[{}] \
             field_mask={fields}",
            time_text(since.as_ref()),
            time_text(until.as_ref()),
            filters_text(whitelist)?,
            filters_text(blacklist)?,
        );
        Ok(tell("asking for flows", of, &text, surroundings.err)?)
    }
}

/// Says on stderr what is asked.
pub fn tell(message: &str, of: &str, request: &str, err: &mut dyn Write) -> io::Result<()> {
    log::line(err, log::Level::Debug, message, &[("of", of.into()), ("req", request.into())])?;
    err.flush()
}

/// A time for messages; `none` if there is none.
pub fn time_text(time: Option<&Timestamp>) -> String {
    let known = time.and_then(|time| DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?));
    known.map_or_else(|| "none".to_owned(), |time| time.to_rfc3339())
}

fn filters_text(filters: &[FlowFilter]) -> Result<String> {
    let texts = filters.iter().map(json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.join(","))
}
