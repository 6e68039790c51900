//! What a server's refusal looks like, in the words of Hubble's CLI.

use std::error::Error as StdError;

use anyhow::{Error, anyhow};
use palomar_transport::{ConnectError, DialError, errno};
use tonic::{Code, Status};

use crate::render::escape::escape;

/// What the HTTP/2 layer says of a connection that ended in mid-stream.
const BROKEN_STREAM: &str = "stream closed because of a broken pipe";

/// Code and message; of an unknown error, as filters give it, the bare message.
pub fn failure(status: &Status) -> Error {
    match status.code() {
        // a status with a cause was not sent by the server, but made where the connection broke
        Code::Unknown if status.source().is_none() => anyhow!("{}", escape(status.message())),
        _ => coded_failure(status),
    }
}

/// Code and message, always.
pub fn coded_failure(status: &Status) -> Error {
    if let Some(error) = dial_error(status) {
        return coded(Code::Unavailable, &dial_text(error));
    }
    match (status.code(), status.source()) {
        (Code::Unknown, Some(cause)) => {
            let text = root(cause);
            let text = if text == BROKEN_STREAM { "EOF" } else { &text };
            coded(Code::Unavailable, &format!("error reading from server: {text}"))
        }
        (code, _) => coded(code, status.message()),
    }
}

/// There is no connection.
pub fn unreachable(error: &ConnectError) -> Error {
    let text = match error {
        ConnectError::Unreachable { source, .. } => dial_text(source),
        ConnectError::Timeout { target, .. } => {
            format!("connection error: desc = \"transport: Error while dialing: dial {target}: i/o timeout\"")
        }
        ConnectError::Transport { source, .. } => {
            format!("connection error: desc = \"transport: {}\"", root(source))
        }
    };
    coded(Code::Unavailable, &text)
}

fn coded(code: Code, message: &str) -> Error {
    anyhow!("rpc error: code = {} desc = {}", name(code), escape(message))
}

fn dial_text(error: &DialError) -> String {
    let dialing = "connection error: desc = \"transport: Error while dialing: ";
    match error {
        DialError::Resolve { host, source } => {
            format!("{dialing}dial tcp: lookup {host}: {}\"", errno::text(source))
        }
        DialError::Connect { address, source } => {
            format!("{dialing}dial {address}: connect: {}\"", errno::text(source))
        }
        DialError::Handshake { source } => {
            let reason = errno::text(source);
            format!("connection error: desc = \"transport: authentication handshake failed: {reason}\"")
        }
    }
}

/// A connection that broke and could not be made again.
fn dial_error(status: &Status) -> Option<&DialError> {
    let mut cause: Option<&(dyn StdError + 'static)> = status.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// What lies under all the other causes.
fn root(error: &dyn StdError) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

/// Go's names of the codes.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
