//! The client's end: a channel to a target, and unary calls with a deadline.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::dial::{DialError, dial};
use crate::http2::{CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES};
use crate::{ClientTls, Target};

/// How long to wait for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, name resolution and TLS handshake included.
    pub dial: Duration,
    /// For the whole of a unary call ([`unary`]). Streams have no deadline.
    pub unary: Duration,
}

/// Why there is no channel.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// There is no connection.
    #[error("cannot connect to {target}")]
    Unreachable {
        /// Where to.
        target: Target,
        /// What was tried last, and what came of it.
        source: DialError,
    },
    /// There is a connection and no HTTP/2 on it.
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

/// Connects to a server without TLS. The channel reconnects by itself when the connection breaks later.
///
/// HTTP/2 pings are left off: stock servers close connections of clients that ping often.
pub async fn connect(target: &Target, timeouts: Timeouts) -> Result<Channel, ConnectError> {
    connect_with(target, None, timeouts).await
}

/// Connects to a server with TLS, otherwise as [`connect`].
pub async fn connect_tls(
    target: &Target,
    tls: &ClientTls,
    timeouts: Timeouts,
) -> Result<Channel, ConnectError> {
    connect_with(target, Some(tls), timeouts).await
}

async fn connect_with(
    target: &Target,
    tls: Option<&ClientTls>,
    timeouts: Timeouts,
) -> Result<Channel, ConnectError> {
    let transport = |source| ConnectError::Transport { target: target.clone(), source };
    let endpoint = Endpoint::from_shared(uri(target, tls))
        .map_err(transport)?
        .connect_timeout(timeouts.dial)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES);
    let link = (target.clone(), tls.cloned());
    let connector = tower::service_fn(move |_uri| {
        let (target, tls) = link.clone();
        async move { dial(target, tls).await.map(TokioIo::new) }
    });
    let timed_out = || ConnectError::Timeout { target: target.clone(), after: timeouts.dial };
    match timeout(timeouts.dial, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(match cause(&error) {
            Some(Cause::Dial(source)) => ConnectError::Unreachable { target: target.clone(), source },
            Some(Cause::TimedOut) => timed_out(),
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

/// What requests name as their server; the connection goes where [`dial`] takes it.
fn uri(target: &Target, tls: Option<&ClientTls>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    match (tls.and_then(ClientTls::server_name), target) {
        (Some(name), _) => format!("{scheme}://{name}"),
        (None, Target::Unix(_)) => format!("{scheme}://localhost"),
        (None, Target::Tcp { .. }) => format!("{scheme}://{target}"),
    }
}

enum Cause {
    Dial(DialError),
    TimedOut,
}

/// What is at the root of a transport error, if it is one of ours.
fn cause(error: &tonic::transport::Error) -> Option<Cause> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<DialError>() {
            return Some(Cause::Dial(found.clone()));
        }
        if error.downcast_ref::<io::Error>().is_some_and(|found| found.kind() == io::ErrorKind::TimedOut) {
            return Some(Cause::TimedOut);
        }
        cause = error.source();
    }
    None
}
