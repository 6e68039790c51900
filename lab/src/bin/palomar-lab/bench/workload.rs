//! The traffic between two pods.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use palomar_lab::traffic::TcpServer;

use super::figures::grouped;
use super::site::Site;

/// Ports that the policies of the bench allow.
const CONNECTIONS: u16 = 7000;
const ECHO: u16 = 7001;
const STREAM: u16 = 7002;
/// The UDP port.
const DATAGRAMS: u16 = 7003;
/// As much as a small game or voice packet, or a DNS question.
const DATAGRAM: usize = 18;

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// Connect, ask, close; one at a time.
    Connections,
    /// One TCP stream.
    Stream,
    /// UDP datagrams of 18 bytes, as many as go.
    Datagrams,
    /// Question and answer on one connection.
    RoundTrips,
}

/// Servers in the server's pod, until they are dropped.
#[derive(Debug)]
#[must_use = "they serve until they are dropped"]
pub struct Servers {
    _connections: TcpServer,
    _echo: TcpServer,
}

// === impl Servers ===

impl Servers {
    /// Starts them.
    pub fn start(site: &Site<'_>) -> anyhow::Result<Self> {
        let server = site.pod("server")?;
        Ok(Self { _connections: server.serve_rate(CONNECTIONS, 1)?, _echo: server.serve_echo(ECHO)? })
    }
}

// === impl Workload ===

impl Workload {
    /// All.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Stream, Self::Datagrams, Self::RoundTrips];

    /// What is measured, and its unit.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections/s",
            Self::Stream => "TCP stream Gb/s",
            Self::Datagrams => "UDP packets/s",
            Self::RoundTrips => "round trips/s",
        }
    }

    /// Writes a value of it.
    pub fn format(self, value: f64) -> String {
        if self == Self::Stream { format!("{value:.1}") } else { grouped(value) }
    }

    /// Sends it from the client to the server; the value in the unit of [`Self::label`].
    pub fn measure(self, site: &Site<'_>, duration: Duration) -> anyhow::Result<f64> {
        let (client, server) = (site.pod("client")?, site.pod("server")?);
        let to = |port| Ok::<_, anyhow::Error>(SocketAddr::new(server.v4()?, port));
        Ok(match self {
            Self::Connections => {
                let report = client.connect_rate(to(CONNECTIONS)?, 1, duration)?;
                ensure!(report.failed == 0, "{} of {} connections failed", report.failed, report.completed);
                report.per_second()
            }
            Self::Stream => client.stream_to(server, to(STREAM)?, duration)?.per_second() * 8.0 / 1e9,
            Self::Datagrams => client.flood(server, to(DATAGRAMS)?, DATAGRAM, duration)?.per_second(),
            Self::RoundTrips => client.round_trips(to(ECHO)?, duration)?.per_second(),
        })
    }
}

/// Sends datagrams from the stranger, whom the policies of the bench deny; how many were sent a second.
pub fn denied(site: &Site<'_>, duration: Duration) -> anyhow::Result<f64> {
    let server = site.pod("server")?;
    let address = SocketAddr::new(server.v4()?, DATAGRAMS);
    let report = site.pod("stranger")?.flood(server, address, DATAGRAM, duration)?;
    ensure!(report.received == 0, "{} denied datagrams have arrived", report.received);
    #[expect(clippy::cast_precision_loss, reason = "a run sends far fewer than 2^52 datagrams")]
    let sent = report.sent as f64;
    Ok(sent / report.elapsed.as_secs_f64())
}
