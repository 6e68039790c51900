//! Flows from a server.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::{GetFlowsResponse, ServerStatusRequest};
use palomar_transport::http2::MAX_MESSAGE_BYTES;

use super::encoded::{self, Skim};
use super::request::Observe;
use super::stream::{Sink, copy, copy_tail, opened, until_interrupted};
use super::tail::Tail;
use super::why;
use crate::connection::{Connection, Link};
use crate::render::Printer;
use crate::surroundings::Surroundings;

/// Bytes of output that wait for more.
pub const BUFFER: usize = 64 * 1024;

/// Prints what the server sends, until it ends or the user interrupts.
pub async fn run(
    connection: &Connection,
    observe: &Observe,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let out = BufWriter::with_capacity(BUFFER, &mut *surroundings.out);
    let mut printer = Printer::new(observe.options, out, &mut *surroundings.err);
    let outcome = if observe.why {
        until_interrupted(Box::pin(why::receive(connection, observe, &mut printer))).await
    } else {
        until_interrupted(receive(connection, observe, &mut printer)).await
    };
    let finished = printer.finish();
    outcome?;
    Ok(finished?)
}

async fn receive<O: Write, E: Write>(
    connection: &Connection,
    observe: &Observe,
    printer: &mut Printer<O, E>,
) -> Result<()> {
    let link = connection.connect().await?;
    let mut client = client(link.clone());
    let mut request = observe.request.clone();
    if observe.selectors.is_tail_of_range() && !gives_the_last(connection, &mut client, printer.err()).await {
        let tail = Tail::new(std::mem::take(&mut request.number));
        let Some(answer) = opened(client.get_flows(request).await)? else { return Ok(()) };
        connection.warn_of_newer(answer.metadata(), printer.err())?;
        return copy_tail(answer.into_inner(), tail, printer).await;
    }
    let Some(answer) = opened(encoded::get_flows(link, request).await)? else { return Ok(()) };
    connection.warn_of_newer(answer.metadata(), printer.err())?;
    copy(answer.into_inner(), &mut Skim::new(printer)).await
}

/// A client that takes lists of any size that a cluster has.
pub fn client(link: Link) -> ObserverClient<Link> {
    ObserverClient::new(link).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// Whether the server takes a number together with a time as the last so many, as Palomar does; stock servers give
/// the first so many. One that does not tell is taken for stock.
pub async fn gives_the_last(
    connection: &Connection,
    client: &mut ObserverClient<Link>,
    err: &mut dyn Write,
) -> bool {
    let status = connection.call(err, ServerStatusRequest {}, |request| client.server_status(request)).await;
    status.is_ok_and(|status| status.version.to_lowercase().contains("palomar"))
}

impl<O: Write, E: Write> Sink for Printer<O, E> {
    type Response = GetFlowsResponse;

    fn print(&mut self, response: &GetFlowsResponse) -> Result<()> {
        Ok(Self::print(self, response)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}
