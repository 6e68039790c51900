//! Flows of a file: one response as JSON on each line, as `observe -o jsonpb` and Hubble's exporter write them.

mod shared;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use palomar_flow::convert::{NodeContext, Typed, nanoseconds};
use palomar_flow::json;
use palomar_flow::rest::Rest;
use palomar_model::flow::Flow;
use palomar_proto::flow as proto;
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

use crate::interrupt::Interrupt;
use shared::Shared;

/// The first bytes of what gzip has packed.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes of a line; a longer one is no flow.
const LINE_LIMIT: u64 = 1 << 20;

/// A flow, and what its typed form leaves out.
#[derive(Debug, Clone)]
pub struct Kept {
    pub flow: Arc<Flow>,
    pub rest: Option<Arc<Rest>>,
}

/// What was read.
#[derive(Debug)]
pub struct FlowFile {
    /// The flows in the order of the file; never empty.
    pub flows: Vec<Kept>,
    /// The node that the first flow names.
    pub node: NodeContext,
    /// What is served otherwise than it stands in the file, or not at all.
    pub departures: BTreeMap<Departure, u64>,
}

/// Why a line is served otherwise than it stands in the file, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Departure {
    LostEvents,
    NodeStatus,
    Nothing,
    Unknown,
    Uuid,
    NoTime,
    FarTime,
    ResponseTime,
    ResponseNode,
}

// === impl FlowFile ===

impl FlowFile {
    /// Reads a file, as it is or packed by gzip; `-` is standard input. Reads no more than `limit` flows.
    pub fn read(path: &str, limit: u64, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let input: Box<dyn Read> = match path {
            "-" => Box::new(io::stdin().lock()),
            path => Box::new(File::open(path).with_context(|| format!("open {path}"))?),
        };
        let input = unpacked(input).with_context(|| format!("read {path}"))?;
        Self::parse(input, limit, interrupt).with_context(|| format!("--from {path}"))
    }

    fn parse(mut input: impl BufRead, limit: u64, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let mut reader = Reader::default();
        let mut line = String::new();
        for number in 1_u64.. {
            interrupt.check()?;
            line.clear();
            let length = (&mut input).take(LINE_LIMIT).read_line(&mut line);
            let length = length.with_context(|| format!("line {number}"))?;
            if length == 0 || limit <= u64::try_from(reader.flows.len())? {
                break;
            }
            anyhow::ensure!(
                line.ends_with('\n') || u64::try_from(length)? < LINE_LIMIT,
                "line {number}: longer than {LINE_LIMIT} bytes"
            );
            if !line.trim().is_empty() {
                let parsed = json::parse::<GetFlowsResponse>(&line);
                let parsed = parsed.with_context(|| format!("line {number}"))?;
                reader.note(Departure::Unknown, parsed.unknown.is_some());
                reader.take(parsed.message);
            }
        }
        let Reader { flows, node, departures, .. } = reader;
        let node = node.context("no flow in it")?;
        Ok(Self { flows, node, departures })
    }
}

/// The text of the input, whether gzip has packed it or not.
fn unpacked(mut input: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    let mut start = Vec::new();
    input.by_ref().take(2).read_to_end(&mut start)?;
    let is_packed = start == GZIP;
    let whole = BufReader::new(Cursor::new(start).chain(input));
    Ok(if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}

#[derive(Debug, Default)]
struct Reader {
    flows: Vec<Kept>,
    node: Option<NodeContext>,
    departures: BTreeMap<Departure, u64>,
    shared: Shared,
}

impl Reader {
    fn note(&mut self, departure: Departure, applies: bool) {
        if applies {
            *self.departures.entry(departure).or_default() += 1;
        }
    }

    fn take(&mut self, response: GetFlowsResponse) {
        match response.response_types {
            Some(ResponseTypes::Flow(flow)) => self.take_flow(flow, &response.node_name, response.time),
            Some(ResponseTypes::LostEvents(_)) => self.note(Departure::LostEvents, true),
            Some(ResponseTypes::NodeStatus(_)) => self.note(Departure::NodeStatus, true),
            None => self.note(Departure::Nothing, true),
        }
    }

    fn take_flow(&mut self, mut flow: proto::Flow, node_name: &str, time: Option<prost_types::Timestamp>) {
        self.note(Departure::Uuid, !flow.uuid.is_empty());
        self.note(Departure::NoTime, flow.time.is_none());
        self.note(Departure::ResponseTime, flow.time.is_some() && flow.time != time);
        self.note(Departure::ResponseNode, flow.node_name != node_name);
        // the response's is the next best
        flow.time = flow.time.or(time);
        let is_far = |time| matches!(nanoseconds(time), i64::MIN | i64::MAX);
        self.note(Departure::FarTime, flow.time.as_ref().is_some_and(is_far));
        let node = self.node.get_or_insert_with(|| NodeContext::of_flow(&flow));
        let Typed { flow, rest } = Typed::of(&flow, node);
        self.flows.push(Kept { flow: self.shared.flow(flow), rest: rest.map(|rest| self.shared.rest(rest)) });
    }
}

// === impl Departure ===

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostEvents => "lost_events: not served, a server tells its own",
            Self::NodeStatus => "node_status: not served, only a relay tells it",
            Self::Nothing => "no flow: not served",
            Self::Unknown => "a field that this version does not know: not served",
            Self::Uuid => "flow.uuid: the server gives its own",
            Self::NoTime => "no flow.time: served with that of the response, or 1970",
            Self::FarTime => {
                "flow.time: beyond the years 1677 to 2262, served with the nearest that can be held"
            }
            Self::ResponseTime => "time: served with that of the flow",
            Self::ResponseNode => "node_name: served with that of the flow",
        })
    }
}
