//! The client's end: a channel to a target, and unary calls with a deadline.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::Target;
use crate::http2::{CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES};

/// How long to wait for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, name resolution included.
    pub dial: Duration,
    /// For the whole of a unary call ([`unary`]). Streams have no deadline.
    pub unary: Duration,
}

/// Why there is no channel.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The system refused; the kind tells a missing socket, a refusal and missing rights apart.
    #[error("cannot connect to {target}")]
    Unreachable {
        /// Where to.
        target: Target,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else, such as a name that does not resolve.
    #[error("cannot connect to {target}")]
    Transport {
        /// Where to.
        target: Target,
        /// What the transport said.
        source: tonic::transport::Error,
    },
    /// Nobody answered in time.
    #[error("cannot connect to {target}: no answer within {after:?}")]
    Timeout {
        /// Where to.
        target: Target,
        /// How long was waited.
        after: Duration,
    },
}

impl Default for Timeouts {
    /// Five seconds to connect, twelve for a unary call, as stock Hubble.
    fn default() -> Self {
        Self { dial: Duration::from_secs(5), unary: Duration::from_secs(12) }
    }
}

/// Connects to a server. The channel reconnects by itself when the connection breaks later.
///
/// HTTP/2 pings are left off: stock servers close connections of clients that ping often.
pub async fn connect(target: &Target, timeouts: Timeouts) -> Result<Channel, ConnectError> {
    let transport = |source| ConnectError::Transport { target: target.clone(), source };
    let endpoint = Endpoint::from_shared(uri(target))
        .map_err(transport)?
        .connect_timeout(timeouts.dial)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .tcp_nodelay(true);
    let timed_out = || ConnectError::Timeout { target: target.clone(), after: timeouts.dial };
    match timeout(timeouts.dial, endpoint.connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(match system_error(&error) {
            Some(source) if source.kind() == io::ErrorKind::TimedOut => timed_out(),
            Some(source) => ConnectError::Unreachable { target: target.clone(), source },
            None => transport(error),
        }),
        Err(_elapsed) => Err(timed_out()),
    }
}

/// Makes a unary call that ends after `deadline`, with `DEADLINE_EXCEEDED`; the server is told the deadline
/// as well. `call` is a method of a generated client: `|request| client.server_status(request)`.
pub async fn unary<M, R, F>(
    deadline: Duration,
    message: M,
    call: impl FnOnce(Request<M>) -> F,
) -> Result<Response<R>, Status>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    match timeout(deadline, call(request)).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Status::deadline_exceeded(format!("no answer within {deadline:?}"))),
    }
}

fn uri(target: &Target) -> String {
    match target {
        Target::Unix(_) => target.to_string(),
        Target::Tcp { .. } => format!("http://{target}"),
    }
}

/// The system's error at the root of a transport error, if there is one.
fn system_error(error: &tonic::transport::Error) -> Option<io::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            match found.raw_os_error() {
                Some(code) => return Some(io::Error::from_raw_os_error(code)),
                None if found.kind() == io::ErrorKind::TimedOut => return Some(found.kind().into()),
                None => {}
            }
        }
        cause = error.source();
    }
    None
}
