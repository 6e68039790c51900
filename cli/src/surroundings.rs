//! What a command finds around it: streams, the clock, the environment. Tests bring their own.

use std::fmt;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};

/// The process as a command sees it.
pub struct Surroundings<'a> {
    /// For `--input-file -`.
    pub input: &'a mut dyn BufRead,
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// Failures, and what a relay says of its nodes.
    pub err: &'a mut dyn Write,
    /// Whether the output ends on a terminal.
    pub out_is_terminal: bool,
    /// Where the command was given.
    pub directory: PathBuf,
    /// When the command was given.
    pub now: DateTime<Utc>,
    /// Looks up an environment variable; `None` also for one that is not UTF-8.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    /// An environment variable.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name)
    }
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input: _, out: _, err: _, out_is_terminal, directory, now, variables: _ } = self;
        f.debug_struct("Surroundings")
            .field("out_is_terminal", out_is_terminal)
            .field("directory", directory)
            .field("now", now)
            .finish_non_exhaustive()
    }
}
