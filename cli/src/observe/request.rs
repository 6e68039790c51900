//! The resolved command line: what is asked, of whom, and how the answer is printed.

use anyhow::{Result, bail};
use palomar_proto::observer::GetFlowsRequest;

use super::filter::Filters;
use super::selectors::Selectors;
use super::{mask, output};
use crate::arguments::Given;
use crate::connection::Connection;
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
    /// A file to read from, instead of a server.
    pub input_file: Option<String>,
    /// Print the filters, and send nothing.
    pub print_raw_filters: bool,
    debug: bool,
}

impl Observe {
    /// Resolves the flags.
    pub fn from_flags(given: &Given, surroundings: &Surroundings<'_>) -> Result<Self> {
        let filters = Filters::from_flags(given)?;
        let selectors = Selectors::from_flags(given, surroundings.now)?;
        let options = output::options(given, surroundings)?;
        let input_file = given.text("input-file").map(str::to_owned);
        let mut request = GetFlowsRequest {
            whitelist: filters.allow,
            blacklist: filters.deny,
            ..GetFlowsRequest::default()
        };
        if input_file.is_some() {
            limit_of_files(&selectors)?;
        } else {
            selectors.apply(&mut request);
        }
        let default_mask = given.switch("use-default-field-masks")?.unwrap_or(true);
        request.field_mask = if given.text("field-mask").is_some() {
            Some(mask::custom_mask(given.all("field-mask"))?)
        } else {
            (default_mask && options.format != Format::Json).then(mask::default_mask)
        };
        Ok(Self {
            request,
            selectors,
            options,
            input_file,
            print_raw_filters: given.switch("print-raw-filters")?.unwrap_or(false),
            debug: given.switch("debug")?.unwrap_or(false),
        })
    }

    /// With `--debug`, says on stderr what is asked.
    pub fn tell_request(&self, connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<()> {
        if !self.debug {
            return Ok(());
        }
        let target = self.input_file.clone().unwrap_or_else(|| connection.target.to_string());
        let request = format!("{:?}", self.request);
        log::line(
            surroundings.err,
            log::Level::Debug,
            "asking for flows",
            &[("of", &target), ("req", &request)],
        )?;
        Ok(surroundings.err.flush()?)
    }
}

/// The last responses of a file are kept in memory.
fn limit_of_files(selectors: &Selectors) -> Result<()> {
    match selectors.last {
        Some(last) if last > 1_000_000 => bail!("--last must be <= 1_000_000, got {last}"),
        _ => Ok(()),
    }
}
