//! What is wrong with a command line, in the words of Hubble's CLI.

use palomar_flow::go::quote::Quoted;
use thiserror::Error;

/// A command line that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UsageError {
    /// No such flag; with its dashes.
    #[error("unknown flag: {0}")]
    UnknownFlag(String),
    /// No such short flag.
    #[error("unknown shorthand flag: {0:?} in -{0}")]
    UnknownShorthand(char),
    /// No such command under `parent`.
    #[error("unknown command {} for {}", Quoted(.command), Quoted(.parent))]
    UnknownCommand {
        /// What was given.
        command: String,
        /// The command it was given to.
        parent: String,
    },
    /// A flag at the end of the line that needs a value.
    #[error("flag needs an argument: {0}")]
    MissingValue(String),
    /// A word where none is taken.
    #[error("unexpected argument {}", Quoted(.0))]
    UnexpectedArgument(String),
    /// A command that needs a word did not get it.
    #[error("missing argument: {0}")]
    MissingArgument(&'static str),
    /// A value that its flag refuses.
    #[error("invalid argument {} for \"{flag}\" flag: {reason}", Quoted(.value))]
    Value {
        /// The value.
        value: String,
        /// The flag as the help names it: `--verdict`, `-n, --namespace`.
        flag: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// `--not` at the end.
    #[error("trailing --not found in the arguments")]
    TrailingNot,
    /// Anything else that clap refuses, in its words.
    #[error("{0}")]
    Other(String),
}
