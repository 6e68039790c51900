//! Responses as text: one file a format, and the pieces they share.
//!
//! Everything that came from a server is escaped ([`escape`]) before it is printed.

mod colour;
mod columns;
mod compact;
mod dict;
pub mod escape;
mod event;
mod host;
mod identity;
mod json;
mod lost;
mod node_status;
mod policies;
mod printer;
mod summary;
mod tab;
mod verdict;

pub use colour::Colour;
pub use columns::Columns;
pub use event::OBSERVATION_POINTS;
pub use host::Naming;
pub use identity::identity_name;
pub use printer::{Format, NodeStates, Options, Printer};
pub use verdict::PolicyNames;
