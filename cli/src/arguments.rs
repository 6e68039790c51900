//! The command line: what was given, before anything is made of it.
//!
//! [`commands`] is the table of all commands and flags. A line is split by it as Hubble's CLI splits its own
//! ([`parse`]); clap makes the help of the same table.

pub mod commands;
mod connection;
mod connections;
mod declare;
mod error;
mod filters;
mod formatting;
mod given;
mod help;
mod line;
mod policy;
mod selectors;
mod suggest;
pub mod value;

pub use connection::FLAGS as SETTINGS;
pub use declare::{Declared, Kind};
pub use error::UsageError;
#[cfg(test)]
pub use filters::{ADDRESSES, EVENTS, PODS};
pub use given::{Entry, Given, Origin};
pub use help::{help, offered, tree};
pub use line::{Parsed, parse};
