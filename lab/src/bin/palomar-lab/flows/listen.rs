//! Where the load server serves.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A place to serve on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket, by its path; never empty.
    Unix(PathBuf),
    /// A TCP address; port 0 for any that is free.
    Tcp(SocketAddr),
}

/// A text that is no place to serve on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListen {
    /// `unix:` without a path.
    #[error("{0:?} names no socket file; write it as unix:///path")]
    NoPath(String),
    /// Neither a socket nor an address with a port.
    #[error(
        "{0:?} is neither a socket nor an IP address with a port; choose from: unix:///path, ADDRESS:PORT, [IPV6]:PORT"
    )]
    NoPlace(String),
}

// === impl Listen ===

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        match text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            Some("") => Err(InvalidListen::NoPath(text.to_owned())),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| InvalidListen::NoPlace(text.to_owned())),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_parse_and_print_as_clients_take_them() {
        for (text, expected, printed) in [
            ("unix:///run/f.sock", Listen::Unix("/run/f.sock".into()), "unix:///run/f.sock"),
            ("unix:f.sock", Listen::Unix("f.sock".into()), "unix://f.sock"),
            ("127.0.0.1:0", Listen::Tcp(([127, 0, 0, 1], 0).into()), "127.0.0.1:0"),
            ("[::1]:4245", "[::1]:4245".parse().map(Listen::Tcp).unwrap(), "[::1]:4245"),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_choices() {
        for text in ["", "localhost:4245", ":4245", "127.0.0.1", "/run/f.sock", "tls://1.2.3.4:5"] {
            let error = text.parse::<Listen>().unwrap_err();
            assert_eq!(error, InvalidListen::NoPlace(text.to_owned()));
            assert!(error.to_string().contains("unix:///path, ADDRESS:PORT"), "{error}");
        }
        assert_eq!("unix://".parse::<Listen>(), Err(InvalidListen::NoPath("unix://".into())));
    }
}
