//! Flags of `palomar connections` beyond the filters that it shares with flows.

use super::declare::{Declared, Kind, filter, mark, switch, text};
use super::filters::IDENTITIES;

/// Where. Source is the end that began the connection.
pub const ADDRESSES: [Declared; 12] = [
    filter("ip", "IP", "Address or CIDR of source or destination"),
    filter("from-ip", "IP", "Source address or CIDR"),
    filter("to-ip", "IP", "Destination address or CIDR"),
    mark("ipv4", "IPv4 connections").short('4'),
    mark("ipv6", "IPv6 connections").short('6'),
    filter("port", "PORT", "Port of source or destination"),
    filter("from-port", "PORT", "Source port"),
    filter("to-port", "PORT", "Destination port"),
    filter(
        "identity",
        "IDENTITY",
        "Security identity of source or destination: a number or a reserved name such as world",
    )
    .choices(&IDENTITIES),
    filter("from-identity", "IDENTITY", "Security identity of the source").choices(&IDENTITIES),
    filter("to-identity", "IDENTITY", "Security identity of the destination").choices(&IDENTITIES),
    filter("protocol", "PROTOCOL", "tcp, udp, sctp, icmp, icmpv4, icmpv6")
        .choices(&["tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6"]),
];

/// What.
pub const STATES: [Declared; 3] = [
    text(
        "state",
        "STATE",
        "unanswered (SYNs without an answer), opening, established, half-closed, closed, refused, reset; of other \
         protocols unreplied, active",
    )
    .of(Kind::List)
    .choices(&[
        "unanswered",
        "opening",
        "established",
        "half-closed",
        "closed",
        "refused",
        "reset",
        "unreplied",
        "active",
    ]),
    switch("unanswered", "Only SYNs that got no answer, as --state unanswered"),
    mark("not", "The next filter flag, and only that, says which connections not to show"),
];

/// How they are printed.
pub const OUTPUT: [Declared; 7] = [
    text("output", "FORMAT", "table, json (one object a line) [default: table]")
        .short('o')
        .choices(&["table", "json"]),
    text("sort", "KEY", "What has most of this first: bytes, packets, age, idle [default: bytes]")
        .choices(&["bytes", "packets", "age", "idle"]),
    switch("reverse", "What has least of it first"),
    text("limit", "N", "Only the first N of that order; 0: all [default: 0]").of(Kind::Number),
    switch("numeric", "Print addresses instead of names"),
    switch("print-policy-names", "Name the policies that allow, audit or deny"),
    switch("exact", "Print bytes and times exactly instead of rounded"),
];
