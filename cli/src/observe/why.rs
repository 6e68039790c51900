//! Flows from a server, each with the reason for its verdict below it.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use palomar_proto::observer::get_flows_response::ResponseTypes;
use tokio::time::{Instant, sleep_until};

use super::live::client;
use super::request::Observe;
use super::stream::{next, opened};
use crate::connection::Connection;
use crate::policy::{Basis, Why, time_of};
use crate::render::Printer;

/// Objects are asked for so often at most: a flow that is later than the last answer waits for the next.
const REFRESH: Duration = Duration::from_millis(250);
/// Answers that a flow waits for; after that it is told that they are too old.
const MOST_WAITS: u32 = 4;

/// Prints what the server sends, with reasons.
pub async fn receive<O: Write, E: Write>(
    connection: &Connection,
    observe: &Observe,
    printer: &mut Printer<O, E>,
) -> Result<()> {
    let mut client = client(connection.connect().await?);
    let Some(answer) = opened(client.get_flows(observe.request.clone()).await)? else { return Ok(()) };
    connection.warn_of_newer(answer.metadata(), printer.err())?;
    let mut stream = answer.into_inner();
    let (mut waiting, mut waits) = (None, 0);
    loop {
        let basis = Basis::from_agent(connection, printer.err()).await?;
        let again = Instant::now() + REFRESH;
        let index = basis.manifests.index();
        let mut why = Why::new(&basis, &index);
        loop {
            let response = match waiting.take() {
                Some(response) => response,
                None => match next(&mut stream, printer).await? {
                    Some(response) => response,
                    None => return Ok(()),
                },
            };
            let Some(ResponseTypes::Flow(flow)) = &response.response_types else {
                printer.print(&response)?;
                continue;
            };
            if waits < MOST_WAITS && basis.is_older_than(time_of(flow)) {
                waits += 1;
                waiting = Some(response);
                break;
            }
            waits = 0;
            printer.print(&response)?;
            printer.note(&why.of(flow))?;
        }
        printer.flush()?;
        sleep_until(again).await;
    }
}
