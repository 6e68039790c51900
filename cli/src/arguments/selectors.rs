//! Flags that say which part of the past, and whether the future.

use super::declare::{Declared, Kind, switch, text};

/// Their heading in the help.
pub const HEADING: &str = "Which flows";

const SINCE: Declared = text(
    "since",
    "TIME",
    "From this time on: a duration before now (5m, 1h30m, 2d, 1w), a date, or a time with its zone \
     (2026-03-04T05:06:07Z; minutes and seconds may be left out)",
);

/// The flags.
pub const FLAGS: [Declared; 6] = [
    text("last", "N", "The last N flows that match [default: 20, unless a time or --follow is given]")
        .of(Kind::Number),
    text("first", "N", "The first N flows that match").of(Kind::Number),
    switch("all", "All flows that the server remembers"),
    switch("follow", "Flows as they come, until interrupted; with --last, N old ones first").short('f'),
    SINCE,
    text("until", "TIME", "Up to this time; not looked at with --follow"),
];

/// Those of a command that looks at all that has been, unless told otherwise.
pub const PAST: [Declared; 3] = [
    text("last", "N", "The last N flows that match [default: all]").of(Kind::Number),
    SINCE,
    text("until", "TIME", "Up to this time"),
];
