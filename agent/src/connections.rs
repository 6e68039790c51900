//! The connections that the kernel tracks, as users mean them.
//!
//! ```text
//! kernel's table → tracked (both sides joined) → query (states, filters, ranks) → messages
//! ```
//!
//! The kernel has an entry for each interface that a connection crosses, and knows neither names nor that two entries
//! are one connection. Here the entries of two local pods are joined, ends get the names that flows have, and what
//! has timed out is left out. All of it reads the kernel's maps, and so blocks for some milliseconds a batch: it is
//! for threads that may.

mod filter;
mod message;
mod names;
mod query;
mod rank;
mod state;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod tracked;
mod view;

pub use filter::InvalidConnectionFilter;
pub use query::{InvalidQuery, MAX_LIMIT, Query, Sources};
pub use state::{State, state};
pub use tables::{ConnectionTables, ConnectionWalk, KernelConnections};
