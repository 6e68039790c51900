//! What a server's refusal looks like, in the words of Hubble's CLI.

use anyhow::{Error, anyhow};
use tonic::{Code, Status};

use crate::render::escape::escape;

/// The bare message of an unknown error, as filters give it; else code and message.
pub fn failure(status: &Status) -> Error {
    let message = escape(status.message());
    match status.code() {
        Code::Unknown => anyhow!("{message}"),
        code => anyhow!("rpc error: code = {} desc = {message}", name(code)),
    }
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
