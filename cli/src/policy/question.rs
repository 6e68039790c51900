//! Questions, from flags and from texts.

use palomar_model::packet::Protocol;
use palomar_policy::explain::{End, Question};

use crate::arguments::{Given, UsageError};

/// The protocols by name.
const PROTOCOLS: [(&str, Protocol); 6] = [
    ("TCP", Protocol::Tcp),
    ("UDP", Protocol::Udp),
    ("SCTP", Protocol::Sctp),
    ("ICMP", Protocol::Icmp),
    ("ICMPv4", Protocol::Icmp),
    ("ICMPv6", Protocol::Icmpv6),
];

/// A text that is no protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol {0:?}; choose from: TCP, UDP, SCTP, ICMP, ICMPv6")]
pub struct UnknownProtocol(pub String);

/// A port that is missing, or is one too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// The protocol has ports.
    #[error("{0} needs a port, from 1 to 65535")]
    Missing(&'static str),
    /// The protocol has none.
    #[error("{0} has no ports; leave the port out")]
    Needless(&'static str),
    /// Port 0.
    #[error("port 0 is none; choose from: 1 to 65535")]
    Zero,
}

/// A protocol by its name, in capitals or not.
pub fn protocol(text: &str) -> Result<Protocol, UnknownProtocol> {
    let found = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, protocol)| *protocol).ok_or_else(|| UnknownProtocol(text.to_owned()))
}

/// The name of a protocol in answers.
pub fn protocol_name(protocol: Protocol) -> &'static str {
    PROTOCOLS.iter().find(|(_, known)| *known == protocol).map_or("other", |(name, _)| name)
}

/// Whether a port goes with its protocol.
pub fn checked_port(protocol: Protocol, port: Option<u16>) -> Result<Option<u16>, InvalidPort> {
    match (port, protocol.has_ports()) {
        (Some(0), true) => Err(InvalidPort::Zero),
        (None, true) => Err(InvalidPort::Missing(protocol_name(protocol))),
        (Some(_), false) => Err(InvalidPort::Needless(protocol_name(protocol))),
        (port, _) => Ok(port),
    }
}

/// From `--from`, `--to`, `--port` and `--protocol`.
pub fn from_flags(given: &Given) -> anyhow::Result<Question> {
    let protocol = refused(given, "protocol", protocol)?.unwrap_or(Protocol::Tcp);
    let port = refused(given, "port", |text| {
        text.parse::<u16>().map_err(|_| "not a port; choose from: 1 to 65535")
    })?;
    if !given.has("from") && !given.has("to") {
        anyhow::bail!(
            "who connects to whom? name both with --from and --to, or a flow with --uuid, or many with --probes"
        );
    }
    Ok(Question {
        from: end(given, "from")?,
        to: end(given, "to")?,
        protocol,
        port: checked_port(protocol, port).map_err(|error| anyhow::anyhow!("--port: {error}"))?,
    })
}

fn end(given: &Given, flag: &'static str) -> anyhow::Result<End> {
    let end = refused(given, flag, str::parse::<End>)?;
    end.ok_or_else(|| {
        anyhow::anyhow!("--{flag} is missing: a pod or service as namespace/name, or an IP address")
    })
}

/// The value of a flag, parsed; a value that does not parse is refused in the flag's name.
fn refused<T, E: ToString>(
    given: &Given,
    flag: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, UsageError> {
    let entry = given.all(flag).last();
    entry.map(|entry| parse(&entry.value).map_err(|error| entry.refuse(error.to_string()))).transpose()
}
