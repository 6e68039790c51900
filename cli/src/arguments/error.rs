//! What is wrong with a command line, in the words of Hubble's CLI.

use palomar_flow::go::quote::{Quoted, QuotedChar};
use thiserror::Error;

/// A command line that cannot be understood, or a setting that stands in for one.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UsageError {
    /// No such flag.
    #[error("unknown flag: --{flag}{suggestions}")]
    UnknownFlag {
        /// What was given.
        flag: String,
        /// As in [`Self::UnknownCommand`].
        suggestions: String,
    },
    /// No such short flag among those behind one dash.
    #[error("unknown shorthand flag: {} in -{group}", QuotedChar(*.short))]
    UnknownShorthand {
        /// What is not known.
        short: char,
        /// It, and what follows it.
        group: String,
    },
    /// A word with dashes that can be no flag.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// No such command under `parent`.
    #[error("unknown command {} for {}{suggestions}", Quoted(.command), Quoted(.parent))]
    UnknownCommand {
        /// What was given.
        command: String,
        /// The command it was given to.
        parent: String,
        /// What may have been meant, as it is to be printed; empty if nothing is like it.
        suggestions: String,
    },
    /// A flag at the end of the line that needs a value.
    #[error("flag needs an argument: --{0}")]
    MissingValue(String),
    /// The same for a short flag.
    #[error("flag needs an argument: {} in -{group}", QuotedChar(*.short))]
    MissingShortValue {
        /// The flag.
        short: char,
        /// It, and what stands before it behind the same dash.
        group: String,
    },
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
    /// The same for a value that stands elsewhere than on the command line.
    #[error("invalid value {} for {key}, from {place}: {reason}", Quoted(.value))]
    Setting {
        /// The value.
        value: String,
        /// The flag's name without dashes.
        key: &'static str,
        /// Where it stands.
        place: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// `--not` at the end.
    #[error("trailing --not found in the arguments")]
    TrailingNot,
}
