//! Flags of every command: the server, and how to speak of it.

use super::declare::{Declared, switch, valued};

/// Their heading in the help.
pub const HEADING: &str = "Connection";

/// The flags.
pub const FLAGS: [Declared; 4] = [
    valued(
        "server",
        "ADDRESS",
        "unix:///path or host:port; else PALOMAR_SERVER or HUBBLE_SERVER from the environment, else the local agent's \
         socket if it is there, else localhost:4245",
    ),
    valued("timeout", "DURATION", "How long to wait for a connection [default: 5s]"),
    valued(
        "request-timeout",
        "DURATION",
        "How long to wait for an answer; streams have no limit [default: 12s]",
    ),
    switch("debug", "Tell on stderr what is sent, and every change of a relay's nodes").short('D'),
];
