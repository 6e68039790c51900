//! What the text formats show of a flow, borrowed from wherever the flow is.

mod known;
mod message;
mod picked;
mod source;

use std::borrow::Cow;

use palomar_flow::json::Picked;
use palomar_flow::skim::Skimmed;
use palomar_flow::view::Side;
use palomar_proto::flow::Policy;

pub use known::KnownEnds;
pub use picked::{FLOW_PATH, PATHS, REPEATED};
pub use source::Source;

/// A flow as lines show it. Numbers are those of Hubble's enums; texts are not escaped.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    /// Whether the packet goes against its connection.
    pub is_reply: Option<bool>,
    /// Source and destination, as the packet stands.
    pub ends: [End<'a>; 2],
    /// What became of the packet.
    pub verdict: i32,
    /// `event_type`; zeros where the flow has none.
    pub event: (i32, i32),
    /// Of an application's message, its type and its kind.
    pub layer7: Option<Layer7<'a>>,
    /// Seen from the pod.
    pub direction: i32,
    /// Which kind of rule decided.
    pub match_type: u32,
    /// Where a packet was captured.
    pub capture_point: i32,
    /// Where a socket's address was translated.
    pub translation_point: i32,
    /// How the ends are known to each other.
    pub auth: i32,
    /// The trace id of the IP options; 0 where there is none.
    pub ip_trace_id: u64,
    /// What the server says of it.
    pub summary: Cow<'a, str>,
    /// Who allowed and who denied, for the direction; empty where that is not asked for.
    pub allowed_by: &'a [Policy],
    /// Who denied.
    pub denied_by: &'a [Policy],
}

/// One end of a flow.
#[derive(Debug, Clone, Default)]
pub struct End<'a> {
    /// 0 where it is not known.
    pub identity: u32,
    /// `None`: the packet has no IP header.
    pub address: Option<Cow<'a, str>>,
    /// The address below it; `None`: the packet has no Ethernet header.
    pub ethernet: Option<Cow<'a, str>>,
    /// 0 for none.
    pub port: u32,
    /// Empty where the end is no pod.
    pub pod: Cow<'a, str>,
    /// That of the service if there is one, else the pod's.
    pub namespace: Cow<'a, str>,
    /// Empty where the address is no service's.
    pub service: Cow<'a, str>,
    /// DNS names.
    pub names: Names<'a>,
    /// What it is shown as by name, escaped and without its port, where that was put together before; then the texts
    /// above are not read.
    pub known: Option<&'a str>,
}

/// DNS names of an address.
#[derive(Debug, Clone, Copy, Default)]
pub enum Names<'a> {
    /// None are known.
    #[default]
    None,
    /// Those of a message.
    List(&'a [String]),
    /// Those at a path of a line.
    Line(Picked<'a>, usize),
    /// Those at a path of an encoded message.
    Message(Skimmed<'a>, usize),
}

/// An application's message.
#[derive(Debug, Clone)]
pub struct Layer7<'a> {
    /// Request, response, sample.
    pub kind: i32,
    /// What it belongs to.
    pub record: Record<'a>,
}

/// What an application's message belongs to.
#[derive(Debug, Clone)]
pub enum Record<'a> {
    /// DNS, and who saw it.
    Dns(Cow<'a, str>),
    /// HTTP.
    Http,
    /// Kafka.
    Kafka,
    /// Something else.
    Other,
}

impl<'a> Shown<'a> {
    /// An end.
    pub fn end(&self, side: Side) -> &End<'a> {
        let [source, destination] = &self.ends;
        side.of(source, destination)
    }
}

impl Names<'_> {
    /// All of them; `None` if there is none.
    pub fn joined(self) -> Option<String> {
        match self {
            Self::None | Self::List([]) => None,
            Self::List(names) => Some(names.join(",")),
            Self::Line(line, path) => joined(&line.texts(path)),
            Self::Message(message, path) => joined(&message.texts(path)),
        }
    }
}

fn joined(names: &[Cow<'_, str>]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(","))
}
