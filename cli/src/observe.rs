//! `palomar observe`: flags to a request, responses to lines.

mod file;
mod filter;
mod live;
mod mask;
mod output;
mod raw_filters;
mod request;
mod selectors;
mod tail;

pub use filter::{Filters, parse_identity};
pub use mask::default_mask;

use anyhow::{Result, bail};

use crate::arguments::Parsed;
use crate::connection::Connection;
use crate::surroundings::Surroundings;

/// Runs the command.
pub async fn run(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    if let Some(events @ ("agent-events" | "debug-events")) = parsed.words.first().map(String::as_str) {
        bail!("observe {events} is not built; observe prints flows only");
    }
    let connection = Connection::from_flags(&parsed.given)?;
    let observe = request::Observe::from_flags(&parsed.given, surroundings)?;
    if observe.print_raw_filters {
        return raw_filters::print(&observe.request, surroundings);
    }
    observe.tell_request(&connection, surroundings)?;
    match &observe.input_file {
        Some(path) => file::run(path, &observe, surroundings),
        None => live::run(connection, &observe, surroundings).await,
    }
}
