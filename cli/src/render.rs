//! Responses as text: one file a format, and the pieces they share.
//!
//! Everything that came from a server is escaped ([`escape`]) before it is printed.

mod agent_event;
mod colour;
mod columns;
mod compact;
mod debug_event;
mod dict;
pub mod escape;
mod event;
mod event_printer;
mod host;
mod identity;
mod json;
mod lost;
mod node_status;
mod policies;
mod printer;
mod sheet;
mod shown;
mod summary;
mod tab;
mod verdict;

pub use colour::Colour;
pub use columns::Columns;
pub use event::{OBSERVATION_POINTS, enum_name};
pub use event_printer::{EventPrinter, EventResponse};
pub use host::Naming;
pub use identity::identity_name;
pub use printer::{Envelope, Format, NodeStates, Options, Printer};
pub use shown::{PATHS, REPEATED};
pub use verdict::PolicyNames;
