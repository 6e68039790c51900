//! Flows from a server.

use std::future::poll_fn;
use std::io::{BufWriter, Write};
use std::pin::pin;
use std::task::Poll;

use anyhow::Result;
use palomar_proto::observer::observer_client::ObserverClient;
use palomar_proto::observer::{GetFlowsResponse, ServerStatusRequest};
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use super::request::Observe;
use super::tail::Tail;
use crate::connection::{Connection, warn_of_newer};
use crate::render::Printer;
use crate::rpc;
use crate::surroundings::Surroundings;

/// Bytes of output that wait for more.
const BUFFER: usize = 64 * 1024;

/// Prints what the server sends, until it ends or the user interrupts.
pub async fn run(
    connection: Connection,
    observe: &Observe,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let out = BufWriter::with_capacity(BUFFER, &mut *surroundings.out);
    let mut printer = Printer::new(observe.options, out, &mut *surroundings.err);
    let outcome = tokio::select! {
        outcome = receive(&connection, observe, &mut printer) => outcome,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into),
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
    let mut client = ObserverClient::new(connection.connect().await?);
    let mut request = observe.request.clone();
    let mut tail = None;
    if observe.selectors.is_tail_of_range() && !gives_the_last(connection, &mut client).await {
        tail = Some(Tail::new(request.number));
        request.number = 0;
    }
    let answer = match client.get_flows(request).await {
        Ok(answer) => answer,
        Err(status) if status.code() == Code::Cancelled => return Ok(()),
        Err(status) => return Err(rpc::failure(&status)),
    };
    warn_of_newer(answer.metadata(), printer.err())?;
    let mut stream = answer.into_inner();
    while let Some(response) = next(&mut stream, printer).await? {
        match &mut tail {
            Some(tail) => tail.push(response),
            None => printer.print(&response)?,
        }
    }
    for response in tail.into_iter().flat_map(Tail::into_responses) {
        printer.print(&response)?;
    }
    Ok(())
}

/// The next response. What was printed is handed on as soon as there is none to be had at once, so that a follower
/// sees each flow when it comes and a long answer is written in large pieces.
async fn next<O: Write, E: Write>(
    stream: &mut Streaming<GetFlowsResponse>,
    printer: &mut Printer<O, E>,
) -> Result<Option<GetFlowsResponse>> {
    let mut message = pin!(stream.message());
    let ready = match poll_fn(|context| Poll::Ready(message.as_mut().poll(context))).await {
        Poll::Ready(ready) => ready,
        Poll::Pending => {
            printer.flush()?;
            message.await
        }
    };
    match ready {
        Err(status) if status.code() == Code::Cancelled => Ok(None),
        Err(status) => Err(rpc::failure(&status)),
        Ok(response) => Ok(response),
    }
}

/// Whether the server takes a number together with a time as the last so many, as Palomar does; stock servers give
/// the first so many. One that does not tell is taken for stock.
async fn gives_the_last(connection: &Connection, client: &mut ObserverClient<Channel>) -> bool {
    let status = connection.call(ServerStatusRequest {}, |request| client.server_status(request)).await;
    status.is_ok_and(|status| status.version.to_lowercase().contains("palomar"))
}
