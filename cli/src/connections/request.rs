//! The resolved command line.

use std::io;

use anyhow::{Result, bail};
use palomar_proto::palomar::v1::{ConnectionState, ListConnectionsRequest};

use super::order::{Key, Order};
use super::table::Looks;
use super::words::{STATES, state_of};
use crate::arguments::Given;
use crate::log;
use crate::observe::Filters;
use crate::palomar_api::{Output, output};
use crate::render::Naming;
use crate::surroundings::Surroundings;

/// The greatest limit that a server takes; for more, all are asked for.
const MAX_LIMIT: u64 = 10_000;

/// A command without contradictions.
#[derive(Debug)]
pub struct Asked {
    /// For the server.
    pub request: ListConnectionsRequest,
    /// How the answer is sorted.
    pub order: Order,
    /// How many are shown; `None`: all.
    pub limit: Option<u64>,
    /// How they are printed.
    pub output: Output,
    /// What the table looks like.
    pub looks: Looks,
    debug: bool,
}

impl Asked {
    /// Resolves the flags.
    pub fn from_flags(given: &Given, filters: Filters) -> Result<Self> {
        let output = output(given)?;
        filters.check_end()?;
        let filters = filters.into_lists(given)?;
        let key = given.text("sort").unwrap_or("bytes");
        let Some(key) = Key::named(key) else {
            bail!("unknown sort key: {key}; choose from: bytes, packets, age, idle");
        };
        let order = Order { key, least: given.switch("reverse")? };
        let limit = given.number("limit")?.filter(|limit| *limit > 0);
        Ok(Self {
            request: ListConnectionsRequest {
                whitelist: filters.allow,
                blacklist: filters.deny,
                states: states(given)?.into_iter().map(Into::into).collect(),
                limit: limit
                    .filter(|limit| *limit <= MAX_LIMIT)
                    .and_then(|limit| limit.try_into().ok())
                    .unwrap_or(0),
                rank_by: order.key.rank().into(),
                least: order.least,
            },
            order,
            limit,
            output,
            looks: Looks {
                naming: if given.switch("numeric")? { Naming::Numeric } else { Naming::Names },
                policy_names: given.switch("print-policy-names")?,
                exact: given.switch("exact")?,
            },
            debug: given.switch("debug")?,
        })
    }

    /// With `--debug`, says on stderr what is asked.
    pub fn tell(&self, of: &str, surroundings: &mut Surroundings<'_>) -> io::Result<()> {
        if !self.debug {
            return Ok(());
        }
        let request = format!("{:?}", self.request);
        let fields = [("of", of.into()), ("req", request.into())];
        log::line(surroundings.err, log::Level::Debug, "asking for connections", &fields)
    }
}

fn states(given: &Given) -> Result<Vec<ConnectionState>> {
    let mut states = Vec::new();
    for word in given.list("state") {
        let Some(state) = state_of(&word) else {
            let names: Vec<&str> = STATES.iter().map(|(_, name)| *name).collect();
            bail!("unknown state: {word}; choose from: {}", names.join(", "));
        };
        states.push(state);
    }
    if given.switch("unanswered")? {
        states.push(ConnectionState::SynUnanswered);
    }
    Ok(states)
}
