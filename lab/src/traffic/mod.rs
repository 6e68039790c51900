//! Traffic between places. Everything here is bounded in time, and runs inside this process unless it says otherwise.
//!
//! Servers are guards: they serve until they are dropped.

mod connection;
mod datagram;
mod error;
mod flood;
mod http;
mod icmp;
mod inject;
mod packet;
mod rate;
mod round_trip;
mod server;
mod stream;

pub use connection::Connection;
pub use datagram::UdpEcho;
pub use error::TrafficError;
pub use flood::FloodReport;
pub use http::serve_blocking;
pub use inject::PacketListener;
pub use packet::{Packet, TcpFlags};
pub use rate::RateReport;
pub use server::TcpServer;
pub use stream::StreamReport;
