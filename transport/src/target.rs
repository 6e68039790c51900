//! Where a server is: the text a user gives, parsed once.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// Socket of the local agent.
pub const DEFAULT_SOCKET: &str = "/var/run/palomar/palomar.sock";

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 4245;

/// Where a server listens. [`Display`](fmt::Display) gives text that parses to the same target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A Unix socket, by its path; never empty. A relative path is meant from the working directory.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// Name, IPv4 address, or IPv6 address without brackets; never empty.
        host: String,
        /// Never zero.
        port: u16,
    },
}

/// Why a text names no server. Each message holds the text.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidTarget {
    /// There is no text.
    #[error("the server address is empty; choose from: {CHOICES}")]
    Empty,
    /// A scheme other than those known.
    #[error("server address {0:?} has an unknown scheme; choose from: {CHOICES}")]
    Scheme(String),
    /// `unix:` without a path.
    #[error("server address {0:?} names no socket file; write it as unix:///path")]
    NoPath(String),
    /// No `:port` at the end.
    #[error("server address {0:?} has no port; write it as host:port")]
    NoPort(String),
    /// A port that is no number from 1 to 65535.
    #[error("server address {0:?} has a port that is no number from 1 to 65535")]
    Port(String),
    /// A host that can be neither a name nor an address.
    #[error("server address {0:?} has a host that is neither a name nor an IP address")]
    Host(String),
    /// Colons in the host without brackets.
    #[error("server address {0:?} has colons in its host; write an IPv6 address as [address]:port")]
    Brackets(String),
}

const CHOICES: &str = "unix:///path, host:port, tls://host:port";

/// The local agent if its socket is there, else port 4245 of this host.
///
/// Whether anybody answers on the socket is for [`connect`](crate::connect) to find out.
pub fn default_target() -> Target {
    default_target_at(Path::new(DEFAULT_SOCKET))
}

fn default_target_at(socket: &Path) -> Target {
    if socket.exists() {
        Target::Unix(socket.to_owned())
    } else {
        Target::Tcp { host: DEFAULT_HOST.to_owned(), port: DEFAULT_PORT }
    }
}

// === impl Target ===

impl FromStr for Target {
    type Err = InvalidTarget;

    /// Takes `unix:///path` (also `unix:path`) and `host:port`, where an empty host is this one; also with gRPC's
    /// `dns:///` before it.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let rejected = || text.to_owned();
        if text.is_empty() {
            return Err(InvalidTarget::Empty);
        }
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return match path {
                "" => Err(InvalidTarget::NoPath(rejected())),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let text =
            text.strip_prefix("dns:///").or_else(|| text.strip_prefix("passthrough:///")).unwrap_or(text);
        if text.contains("://") {
            return Err(InvalidTarget::Scheme(rejected()));
        }
        let (host, port) = split_port(text).ok_or_else(|| InvalidTarget::NoPort(rejected()))?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            None if host.contains(':') => return Err(InvalidTarget::Brackets(rejected())),
            None if host.is_empty() => DEFAULT_HOST,
            None if host.bytes().all(can_be_in_a_name) => host,
            Some(_) | None => return Err(InvalidTarget::Host(rejected())),
        };
        Ok(Self::Tcp {
            host: host.to_owned(),
            port: parse_port(port).ok_or_else(|| InvalidTarget::Port(rejected()))?,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// The last colon splits, unless it stands inside brackets.
fn split_port(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

fn can_be_in_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Target {
        Target::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn targets_parse_and_print_as_they_parse() {
        let cases = [
            ("an absolute socket path", "unix:///run/p.sock", Target::Unix("/run/p.sock".into())),
            ("a socket path without slashes after the scheme", "unix:p.sock", Target::Unix("p.sock".into())),
            ("a name and a port", "localhost:4245", tcp("localhost", 4245)),
            ("a qualified name", "relay.kube-system.svc:80", tcp("relay.kube-system.svc", 80)),
            ("an IPv4 address", "127.0.0.1:1", tcp("127.0.0.1", 1)),
            ("an IPv6 address in brackets", "[fd00::1]:65535", tcp("fd00::1", 65535)),
            ("no host is this host", ":4244", tcp("localhost", 4244)),
            ("gRPC's own way to write it", "dns:///relay:80", tcp("relay", 80)),
        ];
        for (what, text, wanted) in cases {
            let target = text.parse::<Target>();
            assert_eq!(target.as_ref(), Ok(&wanted), "{what}");
            assert_eq!(wanted.to_string().parse(), target, "{what}, printed");
        }
    }

    #[test]
    fn what_names_no_server_is_refused_for_its_reason() {
        type Why = fn(String) -> InvalidTarget;
        let cases: [(&str, &str, Why); 14] = [
            ("TLS, which is no part of a target", "tls://relay:443", InvalidTarget::Scheme),
            ("a web address", "https://relay:443", InvalidTarget::Scheme),
            ("a socket without a path", "unix://", InvalidTarget::NoPath),
            ("a name alone", "relay", InvalidTarget::NoPort),
            ("brackets without a port", "[::1]", InvalidTarget::NoPort),
            ("an empty port", "relay:", InvalidTarget::Port),
            ("port zero", "relay:0", InvalidTarget::Port),
            ("a port too large", "relay:65536", InvalidTarget::Port),
            ("a signed port", "relay:+80", InvalidTarget::Port),
            ("a named port", "relay:http", InvalidTarget::Port),
            ("an IPv6 address without brackets", "fd00::1:4245", InvalidTarget::Brackets),
            ("brackets around a name", "[relay]:80", InvalidTarget::Host),
            ("a space", "my relay:80", InvalidTarget::Host),
            ("a path after the host", "relay/x:80", InvalidTarget::Host),
        ];
        for (what, text, why) in cases {
            assert_eq!(text.parse::<Target>(), Err(why(text.to_owned())), "{what}");
        }
        assert_eq!("".parse::<Target>(), Err(InvalidTarget::Empty));
    }

    #[test]
    fn errors_name_the_text_and_the_choices() {
        let error = "ftp://relay:443".parse::<Target>().unwrap_err().to_string();
        for part in ["ftp://relay:443", "unknown scheme", "unix:///path", "host:port"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_default_is_the_socket_only_if_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("palomar.sock");
        assert_eq!(default_target_at(&socket), tcp("localhost", 4245));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(default_target_at(&socket), Target::Unix(socket.clone()));
    }
}
