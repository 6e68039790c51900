//! Flags that say how flows and events are printed.

use super::declare::{Declared, Kind, switch, text, toggle};

/// Their heading in the help.
pub const HEADING: &str = "Output";

const OUTPUT: Declared =
    text("output", "FORMAT", "compact, dict, table (or tab), json (or jsonpb, JSON) [default: compact]")
        .short('o')
        .choices(&["compact", "dict", "json", "jsonpb", "table"]);
const TIME_FORMAT: Declared = text(
    "time-format",
    "NAME",
    "StampMilli, YearMonthDay, YearMonthDayHour, YearMonthDayHourMinute, RFC3339, RFC3339Milli, RFC3339Micro, \
     RFC3339Nano, RFC1123Z [default: StampMilli]",
)
.choices(&[
    "StampMilli",
    "YearMonthDay",
    "YearMonthDayHour",
    "YearMonthDayHourMinute",
    "RFC3339",
    "RFC3339Milli",
    "RFC3339Micro",
    "RFC3339Nano",
    "RFC1123Z",
]);
const PRINT_NODE_NAME: Declared = switch("print-node-name", "Print the node's name in each line");

/// For agent and debug events.
pub const EVENTS: [Declared; 3] = [OUTPUT, TIME_FORMAT, PRINT_NODE_NAME];

/// For flows.
pub const FLOWS: [Declared; 13] = [
    OUTPUT,
    TIME_FORMAT,
    text("color", "WHEN", "auto, always, never; auto: on a terminal [default: auto]")
        .choices(&["auto", "always", "never"]),
    switch("numeric", "Print addresses instead of names"),
    toggle("ip-translation", "false: the same as --numeric [default: true]"),
    PRINT_NODE_NAME,
    switch("print-policy-names", "Name the policies that allowed or denied"),
    switch(
        "why",
        "Below each flow, which rules decided, or which fact is missing to say so; compact and dict only, and from a \
         Palomar agent",
    ),
    switch("silent-errors", "Do not print what a relay says of its nodes").short('s'),
    text("field-mask", "FIELDS", "Ask only for these fields, such as time,source.identity; json only")
        .of(Kind::List),
    toggle(
        "use-default-field-masks",
        "false: ask for all fields, also where only some are printed [default: true]",
    ),
    switch("print-raw-filters", "Print the filters that would be sent, and send nothing"),
    text(
        "input-file",
        "FILE",
        "Read flows in JSON from this file (-: from stdin) instead of a server; may be repeated, and the file may be \
         packed with gzip or zstd",
    ),
];
