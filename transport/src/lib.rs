//! gRPC channels and listeners for Palomar's client and server.
//!
//! A client turns text into a [`Target`] and [`connect`]s to it; a server binds a [`UnixSocket`] or
//! [`bind_tcp`] and serves it with [`server_builder`]. Both ends use the same HTTP/2 sizes ([`http2`]).

#![forbid(unsafe_code)]

mod client;
pub mod http2;
mod server;
mod target;
mod unix;
pub mod version;

pub use client::{ConnectError, Timeouts, connect, unary};
pub use server::{BindTcpError, bind_tcp, server_builder};
pub use target::{DEFAULT_SOCKET, InvalidTarget, Target, default_target};
pub use unix::{BindError, SocketGuard, UnixSocket};
