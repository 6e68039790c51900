//! Flows to replay: of files of JSON lines, and of a server.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use anyhow::{Context, Result};
use palomar_flow::filter::Memo;
use palomar_flow::json::{self, Picked, Picker};
use palomar_flow::view::{LineFlow, LinePaths, Side};
use palomar_proto::flow::{Flow, TraceReason};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use super::choice::Choice;
use super::replay::Replay;
use crate::connection::Connection;
use crate::observe::input::{LINE_LIMIT, Line, Lines, open, unpacked};
use crate::observe::{Tail, client, gives_the_last};
use crate::rpc;
use crate::surroundings::Surroundings;

/// Values that few lines have of their own.
const REPEATED: [&str; 3] = ["flow.source", "flow.destination", "flow.node_labels"];

/// What a replay reads beyond a flow's usual paths. What is told of an end stands together.
const PATHS: [&str; 11] = [
    "flow",
    "time",
    "flow.trace_reason",
    "flow.source.identity",
    "flow.source.namespace",
    "flow.source.pod_name",
    "flow.source.workloads",
    "flow.destination.identity",
    "flow.destination.namespace",
    "flow.destination.pod_name",
    "flow.destination.workloads",
];
/// Places among them.
const FLOW: usize = 0;
const TIME: usize = 1;
const TRACE_REASON: usize = 2;
const ENDS: [[usize; 4]; 2] = [[3, 4, 5, 6], [7, 8, 9, 10]];

/// The flows that the server remembers; of a relay, those of all its nodes.
pub async fn server(
    connection: &Connection,
    choice: &Choice,
    replay: &mut Replay<'_, '_>,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let mut client = client(connection.connect().await?);
    let mut request = choice.request.clone();
    let is_tail = choice.selectors.is_tail_of_range()
        && !gives_the_last(connection, &mut client, &mut *surroundings.err).await;
    let mut tail = is_tail.then(|| Tail::new(std::mem::take(&mut request.number)));
    let answer = client.get_flows(request).await.map_err(|status| rpc::failure(&status))?;
    connection.warn_of_newer(answer.metadata(), &mut *surroundings.err)?;
    let mut stream = answer.into_inner();
    while let Some(response) = stream.message().await.map_err(|status| rpc::failure(&status))? {
        match &mut tail {
            Some(tail) => tail.push(response),
            None => take(&response, replay),
        }
    }
    let last = tail.map(Tail::into_responses);
    last.into_iter().flatten().for_each(|response| take(&response, replay));
    Ok(())
}

/// The flows of files, one after the other; `-` is stdin. A line that cannot be read is told on stderr and counted.
pub fn files(
    names: &[String],
    choice: &Choice,
    replay: &mut Replay<'_, '_>,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    choice.selectors.check_kept()?;
    let mut reader = Reader { choice, replay, kept: VecDeque::new() };
    let mut glance = Glance::new();
    for (name, input) in open(names, &mut *surroundings.input)? {
        let read =
            unpacked(input).and_then(|input| reader.all(name, input, &mut glance, &mut *surroundings.err));
        read.with_context(|| format!("read {name}"))?;
    }
    reader.replay_kept(&mut glance);
    Ok(())
}

/// Reads lines.
struct Reader<'a, 'i, 'w> {
    choice: &'a Choice,
    replay: &'a mut Replay<'i, 'w>,
    /// The last lines of flows, if only those are wanted.
    kept: VecDeque<Box<[u8]>>,
}

impl Reader<'_, '_, '_> {
    fn all(
        &mut self,
        name: &str,
        input: impl Read,
        glance: &mut Glance,
        err: &mut dyn Write,
    ) -> io::Result<()> {
        let mut lines = Lines::new(input);
        let mut number = 0;
        while let Some(line) = lines.next(|| Ok(()))? {
            number += 1;
            let read = match line {
                Line::Whole(line) => self.line(line, glance),
                Line::TooLong => Err(format!("it is longer than {LINE_LIMIT} bytes")),
            };
            if let Err(error) = read {
                self.replay.unreadable();
                writeln!(err, "{name}, line {number}: {error}")?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], glance: &mut Glance) -> Result<(), String> {
        let Self { choice, replay, .. } = self;
        let Choice { selectors, filters, .. } = choice;
        let is_wanted = match glance.at(line) {
            Some(mut seen) => {
                seen.is_wanted(choice) && {
                    if selectors.last.is_none() {
                        seen.replay(replay);
                    }
                    true
                }
            }
            None => match Content::of(line)? {
                Content::Flow(time, flow) => {
                    selectors.have(|| time) && filters.matches(&*flow) && {
                        if selectors.last.is_none() {
                            take_flow(&flow, replay);
                        }
                        true
                    }
                }
                Content::Lost(time, flows) => {
                    // which ones were lost, no filter can tell
                    replay.lost(if selectors.have(|| time) { flows } else { 0 });
                    false
                }
                Content::Nothing => false,
            },
        };
        if let Some(last) = selectors.last.filter(|_| is_wanted) {
            self.keep(line, last);
        }
        Ok(())
    }

    fn keep(&mut self, line: &[u8], last: u64) {
        self.kept.push_back(line.into());
        if u64::try_from(self.kept.len()).is_ok_and(|kept| kept > last) {
            self.kept.pop_front();
        }
    }

    fn replay_kept(&mut self, glance: &mut Glance) {
        for line in &std::mem::take(&mut self.kept) {
            if let Some(seen) = glance.at(line) {
                seen.replay(self.replay);
            } else if let Ok(Content::Flow(_, flow)) = Content::of(line) {
                take_flow(&flow, self.replay);
            }
        }
    }
}

/// Looks at lines that are written as usual: most of them no further than is asked for.
struct Glance {
    picker: Picker,
    places: LinePaths,
    memo: Memo,
}

/// A line about a flow.
struct Seen<'a> {
    line: Picked<'a>,
    places: &'a LinePaths,
    memo: &'a mut Memo,
}

impl Glance {
    fn new() -> Self {
        let paths = [&PATHS, LinePaths::ALL].concat();
        let picker = Picker::loose::<GetFlowsResponse>(&paths, &REPEATED);
        Self { picker, places: LinePaths::within(&paths), memo: Memo::default() }
    }

    /// `None`: the line has to be read.
    fn at<'a>(&'a mut self, line: &'a [u8]) -> Option<Seen<'a>> {
        let Self { picker, places, memo } = self;
        let line = picker.pick(line).filter(|line| line.has(FLOW))?;
        Some(Seen { line, places, memo })
    }
}

impl Seen<'_> {
    fn is_wanted(&mut self, choice: &Choice) -> bool {
        choice.selectors.have(|| self.line.time(TIME))
            && (choice.filters.is_unrestricted()
                || choice.filters.matches_with(&&LineFlow::new(self.line, self.places), self.memo))
    }

    fn replay(&self, replay: &mut Replay<'_, '_>) {
        let is_related = self.line.raw(TRACE_REASON) == Some("\"RELATED\"");
        let told = |side: Side| ENDS[side as usize].map(|place| self.line.raw(place));
        let flow = LineFlow::new(self.line, self.places);
        replay.flow(&&flow, is_related, |side, telling| telling.written(told(side)));
    }
}

/// What a line that was read has, and when it was, in seconds and nanoseconds.
enum Content {
    Flow(Option<(i64, i32)>, Box<Flow>),
    Lost(Option<(i64, i32)>, u64),
    Nothing,
}

impl Content {
    fn of(line: &[u8]) -> Result<Self, String> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::Nothing);
        }
        let time = |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
        let text = String::from_utf8_lossy(line);
        let response = json::parse::<GetFlowsResponse>(&text).map_err(|error| error.to_string())?.message;
        match response.response_types {
            Some(ResponseTypes::Flow(flow)) => return Ok(Self::Flow(time(response.time), Box::new(flow))),
            Some(ResponseTypes::LostEvents(lost)) => {
                return Ok(Self::Lost(time(response.time), lost.num_events_lost));
            }
            Some(ResponseTypes::NodeStatus(_)) => return Ok(Self::Nothing),
            None => {}
        }
        // a bare flow, as older recordings have them
        let flow = json::parse::<Flow>(&text).map_err(|error| error.to_string())?.message;
        if flow.ip.is_none() && flow.l4.is_none() && flow.source.is_none() {
            return Err("it holds no flow".to_owned());
        }
        Ok(Self::Flow(time(flow.time), Box::new(flow)))
    }
}

fn take(response: &GetFlowsResponse, replay: &mut Replay<'_, '_>) {
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => take_flow(flow, replay),
        Some(ResponseTypes::LostEvents(lost)) => replay.lost(lost.num_events_lost),
        Some(ResponseTypes::NodeStatus(_)) | None => {}
    }
}

fn take_flow(flow: &Flow, replay: &mut Replay<'_, '_>) {
    let is_related = flow.trace_reason == i32::from(TraceReason::Related);
    replay.flow(flow, is_related, |side, telling| telling.message(flow, side));
}
