//! Agent and debug events from a server.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use palomar_proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, observer_client::ObserverClient,
};
use prost_types::Timestamp;
use tonic::{Response, Status, Streaming};

use super::live::{BUFFER, client, gives_the_last};
use super::selectors::Selectors;
use super::stream::{Sink, copy, copy_tail, opened, until_interrupted};
use super::tail::{Counted, Tail};
use super::{output, request};
use crate::arguments::Parsed;
use crate::connection::{Connection, Link};
use crate::render::{EventPrinter, EventResponse};
use crate::surroundings::Surroundings;

/// What is asked for; both requests have these fields.
struct Asked {
    number: u64,
    first: bool,
    follow: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// Prints what an agent did.
pub async fn agent_events(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    run(parsed, connection, surroundings, async |client, asked| {
        let Asked { number, first, follow, since, until } = asked;
        client.get_agent_events(GetAgentEventsRequest { number, first, follow, since, until }).await
    })
    .await
}

/// Prints debug messages of an agent's datapath.
pub async fn debug_events(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    run(parsed, connection, surroundings, async |client, asked| {
        let Asked { number, first, follow, since, until } = asked;
        client.get_debug_events(GetDebugEventsRequest { number, first, follow, since, until }).await
    })
    .await
}

type Client = ObserverClient<Link>;

async fn run<R: EventResponse + Counted>(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
    call: impl AsyncFnOnce(&mut Client, Asked) -> Result<Response<Streaming<R>>, Status>,
) -> Result<()> {
    let options = output::options(&parsed.given, surroundings)?;
    let selectors = Selectors::from_flags(&parsed.given, surroundings.now)?;
    let asked = Asked {
        number: selectors.number_of_events(),
        first: selectors.first.is_some(),
        follow: selectors.follow,
        since: selectors.since(),
        until: selectors.until(),
    };
    if parsed.given.switch("debug")? {
        let Asked { number, first, follow, since, until } = &asked;
        let text = format!(
            "number={number} first={first} follow={follow} since={} until={}",
            request::time_text(since.as_ref()),
            request::time_text(until.as_ref())
        );
        request::tell("asking for events", &connection.target.to_string(), &text, surroundings.err)?;
    }
    let out = BufWriter::with_capacity(BUFFER, &mut *surroundings.out);
    let mut printer = EventPrinter::new(options, out);
    let received = receive(connection, &selectors, asked, call, &mut printer, &mut *surroundings.err);
    let outcome = until_interrupted(received).await;
    let finished = printer.finish();
    outcome?;
    Ok(finished?)
}

async fn receive<R: EventResponse + Counted, O: Write>(
    connection: &Connection,
    selectors: &Selectors,
    mut asked: Asked,
    call: impl AsyncFnOnce(&mut Client, Asked) -> Result<Response<Streaming<R>>, Status>,
    printer: &mut EventPrinter<R, O>,
    err: &mut dyn Write,
) -> Result<()> {
    let mut client = client(connection.connect().await?);
    let mut tail = None;
    if selectors.is_tail_of_range() && !gives_the_last(connection, &mut client, err).await {
        tail = Some(Tail::new(asked.number));
        asked.number = 0;
    }
    let Some(answer) = opened(call(&mut client, asked).await)? else { return Ok(()) };
    connection.warn_of_newer(answer.metadata(), err)?;
    match tail {
        Some(tail) => copy_tail(answer.into_inner(), tail, printer).await,
        None => copy(answer.into_inner(), printer).await,
    }
}

impl<R: EventResponse + Counted, O: Write> Sink for EventPrinter<R, O> {
    type Response = R;

    fn print(&mut self, response: &R) -> Result<()> {
        Ok(Self::print(self, response)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}
