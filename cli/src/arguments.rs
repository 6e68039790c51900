//! The command line: what was given, before anything is made of it.
//!
//! clap splits it and prints the help; values are checked where they are used, in the order in which they were given,
//! because `--not` belongs to the flag after it and because the first wrong value is the one to report.

mod connection;
mod declare;
mod error;
mod filters;
mod formatting;
mod given;
mod selectors;
mod tree;

#[cfg(test)]
pub use declare::Purpose;
pub use error::UsageError;
#[cfg(test)]
pub use filters::args as filter_args;
pub use filters::is_filter;
pub use given::{Flag, Given, parse_number};
pub use tree::{Parsed, help, parse};
