//! What flows tell of their ends, as few bytes to remember an end by: all that
//! [`Directory::find`](crate::policy::flow::ends::Directory::find) reads of it.

use std::net::IpAddr;

use palomar_flow::view::{EndpointView, Side};
use palomar_proto::flow::Flow;

/// Bytes that are the same only where an end at an address reads the same.
#[derive(Debug, Default)]
pub struct Telling(Vec<u8>);

impl Telling {
    /// Begins anew, for an end at an address.
    pub fn begin(&mut self, side: Side, address: IpAddr) {
        self.0.clear();
        self.0.push(u8::from(side == Side::Source));
        match address {
            IpAddr::V4(address) => {
                self.0.push(4);
                self.0.extend(address.octets());
            }
            IpAddr::V6(address) => {
                self.0.push(6);
                self.0.extend(address.octets());
            }
        }
    }

    /// Of an end as a line has it: its texts as they are written, `None` for those that it has not.
    pub fn written(&mut self, texts: [Option<&str>; 4]) {
        self.0.push(b'w');
        for text in texts {
            self.0.push(u8::from(text.is_some()));
            self.text(text.unwrap_or_default());
        }
    }

    /// Of an end of a message.
    pub fn message(&mut self, flow: &Flow, side: Side) {
        self.0.push(b'm');
        let Some(end) = side.of(&flow.source, &flow.destination) else { return };
        self.0.extend(end.identity.to_ne_bytes());
        let (name, kind) = EndpointView::workloads(end).next().unwrap_or_default();
        for text in [end.namespace.as_str(), &end.pod_name, name, kind] {
            self.text(text);
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn text(&mut self, text: &str) {
        self.0.extend(text.len().to_ne_bytes());
        self.0.extend(text.as_bytes());
    }
}
