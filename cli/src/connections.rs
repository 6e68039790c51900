//! `palomar connections`: what the pods of a node are connected to now.

mod json;
mod order;
mod request;
mod table;
mod units;
mod words;

use anyhow::{Result, anyhow, bail};
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{Connection, ConnectionTotals};
use tonic::Code;

use self::request::Asked;
use crate::arguments::Parsed;
use crate::connection;
use crate::observe::Filters;
use crate::palomar_api::{Output, failure};
use crate::surroundings::Surroundings;

/// Runs the command.
pub async fn list(
    parsed: &Parsed,
    filters: Filters,
    connection: &connection::Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let asked = Asked::from_flags(&parsed.given, filters)?;
    asked.tell(&connection.target.to_string(), surroundings)?;
    let mut connections = Vec::new();
    let mut totals = None;
    let outcome = receive(connection, &asked, &mut connections, &mut totals, surroundings).await;
    let cut = asked.order.arrange(&mut connections, asked.limit);
    // also what came of an answer that broke off
    if outcome.is_ok() || !connections.is_empty() {
        match asked.output {
            Output::Table => table::print(&connections, asked.looks, surroundings.out)?,
            Output::Json => json::print(&connections, surroundings.out)?,
        }
    }
    outcome?;
    match totals {
        Some(totals) => Ok(tell_rest(&totals, cut, surroundings)?),
        None => bail!("the answer of {} broke off: there may be more connections", connection.target),
    }
}

async fn receive(
    connection: &connection::Connection,
    asked: &Asked,
    connections: &mut Vec<Connection>,
    totals: &mut Option<ConnectionTotals>,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let mut client = PalomarClient::new(connection.connect().await?);
    let answer = client.list_connections(asked.request.clone()).await;
    let answer = answer.map_err(|status| match status.code() {
        // an agent without a datapath says so itself
        Code::FailedPrecondition => {
            anyhow!("the server at {}: {}", connection.target, status.message())
        }
        _ => failure(connection, &status),
    })?;
    connection.warn_of_newer(answer.metadata(), surroundings.err)?;
    let mut stream = answer.into_inner();
    while let Some(message) = stream.message().await.map_err(|status| failure(connection, &status))? {
        connections.extend(message.connections);
        *totals = message.totals;
    }
    Ok(())
}

/// Says on stderr what is not on the list.
fn tell_rest(
    totals: &ConnectionTotals,
    cut: u64,
    surroundings: &mut Surroundings<'_>,
) -> std::io::Result<()> {
    let ConnectionTotals { entries, capacity, over, matching, withheld } = totals;
    let not_shown = withheld.saturating_add(cut);
    if not_shown > 0 {
        writeln!(
            surroundings.err,
            "{not_shown} of {matching} connections are not shown; --limit 0 shows all"
        )?;
    } else if *matching == 0 {
        writeln!(
            surroundings.err,
            "no live connection matches; the kernel tracks {entries} of at most {capacity} entries, {over} of them are over"
        )?;
    }
    Ok(())
}
