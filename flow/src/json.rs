//! The JSON of the contract's messages, as Hubble's CLI prints and reads it.
//!
//! Field names as declared and in the order of declaration, empty fields left out, enums by name, 64-bit integers
//! as strings, wrappers bare, times with 0, 3, 6 or 9 digits of a second, and `<`, `>`, `&`, U+2028 and U+2029
//! escaped. Both directions walk the encoded message with the contract's descriptors, so that every message has
//! its JSON without code of its own.

mod canonical;
mod lexer;
mod memo;
mod number;
mod pick;
mod read;
mod shapes;
mod text;
mod time;
mod write;

use palomar_proto::{flow, observer, palomar::v1, peer, relay};
use prost::Message;
use prost_types::FileDescriptorProto;

pub use lexer::Position;
pub(crate) use pick::Node;
pub use pick::{Picked, Picker};
pub use read::{InvalidJson, Parsed};
pub use write::Unprintable;

/// A message that has a JSON form.
pub trait JsonMessage: Message + Default {
    /// Its full name, e.g. `flow.Flow`.
    const NAME: &'static str;
}

macro_rules! json_messages {
    ($($type:ty = $name:literal),+ $(,)?) => {
        $(impl JsonMessage for $type {
            const NAME: &'static str = $name;
        })+

        #[cfg(test)]
        const NAMES: &[&str] = &[$($name),+];
    };
}

json_messages!(
    flow::Flow = "flow.Flow",
    flow::FlowFilter = "flow.FlowFilter",
    flow::LostEvent = "flow.LostEvent",
    flow::AgentEvent = "flow.AgentEvent",
    flow::DebugEvent = "flow.DebugEvent",
    flow::Endpoint = "flow.Endpoint",
    flow::Layer7 = "flow.Layer7",
    observer::GetFlowsResponse = "observer.GetFlowsResponse",
    observer::GetAgentEventsResponse = "observer.GetAgentEventsResponse",
    observer::GetDebugEventsResponse = "observer.GetDebugEventsResponse",
    observer::GetNodesResponse = "observer.GetNodesResponse",
    observer::GetNamespacesResponse = "observer.GetNamespacesResponse",
    observer::Node = "observer.Node",
    observer::Namespace = "observer.Namespace",
    observer::ServerStatusResponse = "observer.ServerStatusResponse",
    observer::ExportEvent = "observer.ExportEvent",
    v1::GetAgentStatusResponse = "palomar.v1.GetAgentStatusResponse",
    v1::GetLossResponse = "palomar.v1.GetLossResponse",
    v1::GetIdentityResponse = "palomar.v1.GetIdentityResponse",
    v1::ListIdentitiesResponse = "palomar.v1.ListIdentitiesResponse",
    v1::ListEndpointsResponse = "palomar.v1.ListEndpointsResponse",
    v1::Identity = "palomar.v1.Identity",
    v1::Endpoint = "palomar.v1.Endpoint",
    peer::ChangeNotification = "peer.ChangeNotification",
    relay::NodeStatusEvent = "relay.NodeStatusEvent",
);

/// What a file of definitions is, among the messages.
const FILE_NAME: &str = "google.protobuf.FileDescriptorProto";

/// The JSON of a message, on one line without a line end.
pub fn to_string<M: JsonMessage>(message: &M) -> Result<String, Unprintable> {
    let mut out = String::new();
    Writer::default().write(message, &mut out)?;
    Ok(out)
}

/// The definitions of a file as Go prints them, which is what Hubble's CLI shows: names as in JSON, enum values by
/// number.
pub fn definitions(file: &FileDescriptorProto) -> Result<String, Unprintable> {
    let mut out = String::new();
    write::write_with(write::EnumStyle::Number, FILE_NAME, &file.encode_to_vec(), &mut out)?;
    Ok(out)
}

/// Writes many messages with the buffers of the first.
#[derive(Debug, Default)]
pub struct Writer {
    encoded: Vec<u8>,
}

impl Writer {
    /// Appends the JSON of a message, on one line without a line end. After an error the text is incomplete.
    pub fn write<M: JsonMessage>(&mut self, message: &M, out: &mut String) -> Result<(), Unprintable> {
        encode(message, &mut self.encoded);
        write::write(M::NAME, &self.encoded, out)
    }

    /// The same of a message that is encoded, and plain: see [`Skimmer`](crate::skim::Skimmer).
    pub fn write_encoded<M: JsonMessage>(encoded: &[u8], out: &mut String) -> Result<(), Unprintable> {
        write::write(M::NAME, encoded, out)
    }
}

/// Bytes in base 64 with padding, as JSON has them.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    text::write_base64(bytes, &mut out);
    out
}

fn encode(message: &impl Message, out: &mut Vec<u8>) {
    out.clear();
    message.encode(out).expect("invariant: a vector grows as needed");
}

/// Reads one JSON object. Unknown fields and enum names are passed over and told in the result.
pub fn parse<M: JsonMessage>(text: &str) -> Result<Parsed<M>, InvalidJson> {
    let mut reader = read::Reader::new(text);
    let parsed = reader.message()?;
    reader.end()?;
    Ok(parsed)
}

/// Reads one JSON object from the beginning of a text and tells how many bytes it took.
pub fn parse_first<M: JsonMessage>(text: &str) -> Result<(Parsed<M>, usize), InvalidJson> {
    let mut reader = read::Reader::new(text);
    let parsed = reader.message()?;
    Ok((parsed, reader.offset()))
}

#[cfg(test)]
mod tests;
