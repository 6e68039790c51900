//! Flags that say how flows are printed.

use super::declare::{Declared, switch, toggle, valued};

/// Their heading in the help.
pub const HEADING: &str = "Output";

/// The flags.
pub const FLAGS: [Declared; 12] = [
    valued("output", "FORMAT", "compact, dict, table (or tab), json (or jsonpb, JSON) [default: compact]")
        .short('o'),
    valued(
        "time-format",
        "NAME",
        "StampMilli, YearMonthDay, YearMonthDayHour, YearMonthDayHourMinute, RFC3339, RFC3339Milli, RFC3339Micro, \
         RFC3339Nano, RFC1123Z [default: StampMilli]",
    ),
    valued("color", "WHEN", "auto, always, never; auto: on a terminal [default: auto]"),
    switch("numeric", "Print addresses instead of names"),
    toggle("ip-translation", "false: the same as --numeric [default: true]"),
    switch("print-node-name", "Print the node's name in each line"),
    switch("print-policy-names", "Name the policies that allowed or denied"),
    switch("silent-errors", "Do not print what a relay says of its nodes").short('s'),
    valued("field-mask", "FIELDS", "Ask only for these fields, such as time,source.identity; json only"),
    toggle(
        "use-default-field-masks",
        "false: ask for all fields, also where only some are printed [default: true]",
    ),
    switch("print-raw-filters", "Print the filters that would be sent, and send nothing"),
    valued("input-file", "FILE", "Read flows in JSON from this file (-: from stdin) instead of a server"),
];
