//! `palomar observe`: flags to a request, responses to lines.

mod encoded;
mod events;
mod file;
mod filter;
mod glance;
pub(crate) mod input;
mod live;
mod mask;
mod output;
mod raw_filters;
mod request;
mod selectors;
mod stream;
mod tail;
mod why;

pub use events::{agent_events, debug_events};
pub use filter::{Filters, parse_identity};
pub(crate) use live::{client, gives_the_last};
pub use mask::default_mask;
pub(crate) use selectors::Selectors;
pub(crate) use stream::until_interrupted;
pub(crate) use tail::Tail;

use anyhow::{Result, bail};

use crate::arguments::Parsed;
use crate::connection::Connection;
use crate::surroundings::Surroundings;

/// Prints flows: of files, if any is named, else of a server.
pub async fn flows(
    parsed: &Parsed,
    filters: Filters,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let observe = request::Observe::from_flags(&parsed.given, filters, surroundings)?;
    if observe.print_raw_filters {
        return raw_filters::print(&observe.request, surroundings);
    }
    if observe.input_files.is_empty() {
        observe.tell_request(&connection.target.to_string(), surroundings)?;
        return live::run(connection, &observe, surroundings).await;
    }
    if connection.is_forwarded() {
        bail!("cannot use --input-file and --auto-port-forward together");
    }
    observe.tell_request(&observe.input_files.join(","), surroundings)?;
    file::run(&observe, surroundings)
}
