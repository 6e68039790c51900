//! How traffic can fail.

use std::io::{self, ErrorKind};

use crate::LabError;

/// Why an exchange did not come about. Comparable, so that a test can expect one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    /// Nothing came back in time: what a silently dropped packet looks like.
    #[error("timed out")]
    Timeout,
    /// The other end is there and nobody listens.
    #[error("connection refused")]
    Refused,
    /// The other end, or something between, has cut the connection.
    #[error("connection reset")]
    Reset,
    /// There is no way to the other end.
    #[error("no route")]
    Unreachable,
    /// The other end ended the connection before its answer was complete.
    #[error("connection ended early")]
    Ended,
    /// An answer came, and it is not what was expected; the text says in which way.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
    /// Something on our side; the text is the cause.
    #[error("{0}")]
    Local(String),
}

impl From<io::Error> for TrafficError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Timeout,
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Local(error.to_string()),
        }
    }
}

impl From<LabError> for TrafficError {
    fn from(error: LabError) -> Self {
        Self::Local(error.to_string())
    }
}
