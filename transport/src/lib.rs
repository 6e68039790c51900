//! gRPC channels and listeners for Palomar's client and server.
//!
//! A client turns text into a [`Target`] and [`connect`]s to it, or [`connect_tls`]; a server binds a [`UnixSocket`],
//! [`bind_tcp`] or a [`TlsListener`] and serves it with [`server_builder`]. Both ends use the same HTTP/2 sizes
//! ([`http2`]).

#![forbid(unsafe_code)]

mod client;
mod dial;
pub mod errno;
pub mod http2;
mod server;
mod target;
mod tls;
mod unix;
pub mod version;

pub use client::{ConnectError, Timeouts, connect, connect_tls, unary};
pub use dial::{DialAddress, DialError};
pub use server::{BindTcpError, bind_tcp, server_builder};
pub use target::{DEFAULT_SOCKET, InvalidTarget, Target, default_target};
pub use tls::{
    BindTlsError, ClientTls, ClientTlsOptions, TlsConnection, TlsError, TlsEvent, TlsFiles, TlsListener,
    TlsPeer,
};
pub use unix::{BindError, SocketGuard, UnixSocket};
