//! The sockets of the API, and the signals that end it.

mod tcp;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use palomar_transport::UnixSocket;
use tokio::signal::unix::{SignalKind, signal};

use self::tcp::TcpDoor;
use crate::config::RunArgs;
use crate::server::{Api, PeerAddress};

/// Longest wait for the calls under way at the end.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// Where clients knock: opened before the kernel is touched, answered once everything is in force.
pub struct Door {
    runtime: tokio::runtime::Runtime,
    unix: UnixSocket,
    tcp: Option<TcpDoor>,
}

impl Door {
    /// Binds the sockets that the command line asks for.
    pub fn open(args: &RunArgs) -> anyhow::Result<Self> {
        let tcp = args.tcp.resolve()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("grpc")
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let entered = runtime.enter();
        let unix = UnixSocket::bind(&args.socket).context("--socket")?;
        let tcp = TcpDoor::open(&tcp)?;
        drop(entered);
        Ok(Self { runtime, unix, tcp })
    }

    /// How a relay reaches this agent, on a node of this name, cluster and address.
    pub fn peer_address(&self, (node, cluster): (&str, &str), address: Option<IpAddr>) -> PeerAddress {
        peer_address(self.tcp.as_ref(), self.unix.guard.path(), address, (node, cluster))
    }

    /// Serves the API until SIGTERM or SIGINT.
    pub fn serve(self, api: &Api) -> anyhow::Result<()> {
        let Self { runtime, unix: UnixSocket { incoming, guard }, tcp } = self;
        runtime.block_on(async {
            let routes = api.routes().await?;
            let unix = tokio::spawn({
                let (api, routes) = (api.clone(), routes.clone());
                async move { api.serve(routes, incoming).await }
            });
            let tcp = tcp.map(|door| tokio::spawn(door.serve(api.clone(), routes)));
            tracing::info!(socket = %guard.path().display(), "serving");
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
            api.shut_down();
            let ended = async {
                unix.await??;
                if let Some(tcp) = tcp {
                    tcp.await??;
                }
                anyhow::Ok(())
            };
            tokio::time::timeout(LAST_CALLS, ended).await.unwrap_or(Ok(()))
        })
    }
}

/// Without TCP it is the socket, which a relay on this node can reach; a port that nobody listens on would help nobody.
fn peer_address(
    tcp: Option<&TcpDoor>,
    socket: &Path,
    node_address: Option<IpAddr>,
    (node, cluster): (&str, &str),
) -> PeerAddress {
    let Some((door, listening)) = tcp.and_then(|door| Some((door, door.address().ok()?))) else {
        return PeerAddress { address: format!("unix://{}", socket.display()), server_name: None };
    };
    let ip = match node_address {
        Some(node_address) if listening.ip().is_unspecified() => node_address,
        _ => listening.ip(),
    };
    PeerAddress {
        address: SocketAddr::new(ip, listening.port()).to_string(),
        server_name: door.speaks_tls().then(|| PeerAddress::server_name_of(node, cluster)),
    }
}
