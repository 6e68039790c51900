//! The sockets of the API, and the signals that end it.

mod tcp;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::Context as _;
use palomar_transport::UnixSocket;
use tokio::signal::unix::{SignalKind, signal};

use self::tcp::TcpDoor;
use crate::config::RunArgs;
use crate::server::Api;

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
