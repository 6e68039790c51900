//! The server's end over TCP, and what both kinds of listener share.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::http2::{MAX_FRAME_BYTES, REQUEST_WINDOW_BYTES, REQUESTS_WINDOW_BYTES};

/// After so much silence a client is pinged, and dropped if it does not answer: a follower whose machine has
/// gone would hold its stream for ever.
const PING_AFTER: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A TCP address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindTcpError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A server with HTTP/2 sizes for small requests; what it sends is sized by its clients. A builder: add services, then serve it with the listener's
/// incoming stream.
pub fn server_builder() -> Server {
    Server::builder()
        .initial_stream_window_size(REQUEST_WINDOW_BYTES)
        .initial_connection_window_size(REQUESTS_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_keepalive_interval(Some(PING_AFTER))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
}

/// Listens on a TCP address, without TLS. With port zero the system chooses; `local_addr` of the result
/// tells which. Has to be called inside a tokio runtime.
pub fn bind_tcp(address: SocketAddr) -> Result<TcpIncoming, BindTcpError> {
    let incoming = TcpIncoming::bind(address).map_err(|source| BindTcpError { address, source })?;
    Ok(incoming.with_nodelay(Some(true)))
}
