//! Flows to replay: of files of JSON lines, and of a server.

use std::io::{self, Read, Write};

use anyhow::{Context, Result};
use palomar_flow::json::{self, Picker};
use palomar_flow::view::{LineFlow, LinePaths};
use palomar_proto::flow::{Flow, TraceReason};
use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::{GetFlowsRequest, GetFlowsResponse};

use super::replay::Replay;
use crate::connection::Connection;
use crate::observe::client;
use crate::observe::input::{LINE_LIMIT, Line, Lines, open, unpacked};
use crate::rpc;
use crate::surroundings::Surroundings;

/// Values that few lines have of their own.
const REPEATED: [&str; 3] = ["flow.source", "flow.destination", "flow.node_labels"];

const TRACE_REASON: &str = "flow.trace_reason";

/// All flows that the server remembers; of a relay, those of all its nodes.
pub async fn server(
    connection: &Connection,
    replay: &mut Replay<'_, '_>,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let mut client = client(connection.connect().await?);
    let request = GetFlowsRequest { number: u64::MAX, ..GetFlowsRequest::default() };
    let answer = client.get_flows(request).await.map_err(|status| rpc::failure(&status))?;
    connection.warn_of_newer(answer.metadata(), &mut *surroundings.err)?;
    let mut stream = answer.into_inner();
    while let Some(response) = stream.message().await.map_err(|status| rpc::failure(&status))? {
        take(&response, replay);
    }
    Ok(())
}

/// All flows of files, one after the other; `-` is stdin. A line that cannot be read is told on stderr and counted.
pub fn files(
    names: &[String],
    replay: &mut Replay<'_, '_>,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let mut reader = LineReader::new();
    for (name, input) in open(names, &mut *surroundings.input)? {
        let read = unpacked(input).and_then(|input| reader.all(name, input, replay, &mut *surroundings.err));
        read.with_context(|| format!("read {name}"))?;
    }
    Ok(())
}

/// Reads lines: most of them no further than is asked for.
struct LineReader {
    picker: Picker,
    places: LinePaths,
    /// The place of the trace reason.
    reason: usize,
}

impl LineReader {
    fn new() -> Self {
        let mut paths = LinePaths::ALL.to_vec();
        let reason = paths.len();
        paths.push(TRACE_REASON);
        Self {
            picker: Picker::new::<GetFlowsResponse>(&paths, &REPEATED),
            places: LinePaths::within(&paths),
            reason,
        }
    }

    fn all(
        &mut self,
        name: &str,
        input: impl Read,
        replay: &mut Replay<'_, '_>,
        err: &mut dyn Write,
    ) -> io::Result<()> {
        let mut lines = Lines::new(input);
        let mut number = 0;
        while let Some(line) = lines.next(|| Ok(()))? {
            number += 1;
            let read = match line {
                Line::Whole(line) if self.glance(line, replay) => continue,
                Line::Whole(line) => parse(line, replay),
                Line::TooLong => Err(format!("it is longer than {LINE_LIMIT} bytes")),
            };
            if let Err(error) = read {
                replay.unreadable();
                writeln!(err, "{name}, line {number}: {error}")?;
            }
        }
        Ok(())
    }

    /// Takes a line of a flow that is written as usual; false: it has to be read.
    fn glance(&mut self, line: &[u8], replay: &mut Replay<'_, '_>) -> bool {
        let Some(picked) = self.picker.pick(line) else { return false };
        if !picked.line().starts_with("{\"flow\":") {
            return false;
        }
        let is_related = picked.raw(self.reason) == Some("\"RELATED\"");
        replay.flow(&&LineFlow::new(picked, &self.places), is_related);
        true
    }
}

fn parse(line: &[u8], replay: &mut Replay<'_, '_>) -> Result<(), String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(line);
    let response = json::parse::<GetFlowsResponse>(&text).map_err(|error| error.to_string())?.message;
    if response.response_types.is_some() {
        take(&response, replay);
        return Ok(());
    }
    // a bare flow, as older recordings have them
    let flow = json::parse::<Flow>(&text).map_err(|error| error.to_string())?.message;
    if flow.ip.is_none() && flow.l4.is_none() && flow.source.is_none() {
        return Err("it holds no flow".to_owned());
    }
    take_flow(&flow, replay);
    Ok(())
}

fn take(response: &GetFlowsResponse, replay: &mut Replay<'_, '_>) {
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => take_flow(flow, replay),
        Some(ResponseTypes::LostEvents(lost)) => replay.lost(lost.num_events_lost),
        Some(ResponseTypes::NodeStatus(_)) | None => {}
    }
}

fn take_flow(flow: &Flow, replay: &mut Replay<'_, '_>) {
    replay.flow(flow, flow.trace_reason == i32::from(TraceReason::Related));
}
