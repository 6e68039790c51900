//! The API on one socket, in a runtime of its own.

use std::time::Duration;

use anyhow::Context as _;
use palomar_agent::server::Api;
use palomar_transport::{UnixSocket, bind_tcp};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use super::listen::Listen;

/// Longest wait for the calls under way at the end.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// A socket that nobody answers yet: those who connect wait.
pub struct Server {
    runtime: Runtime,
    socket: Bound,
    place: String,
}

/// A server that answers.
pub struct Serving {
    runtime: Runtime,
    api: Api,
    task: JoinHandle<anyhow::Result<()>>,
}

enum Bound {
    Unix(UnixSocket),
    Tcp(TcpIncoming),
}

// === impl Server ===

impl Server {
    /// Binds the socket.
    pub fn bind(listen: &Listen) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("grpc")
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let entered = runtime.enter();
        let (socket, place) = match listen {
            Listen::Unix(path) => {
                (Bound::Unix(UnixSocket::bind(path).context("--listen")?), listen.to_string())
            }
            Listen::Tcp(address) => {
                let incoming = bind_tcp(*address).context("--listen")?;
                let address = incoming.local_addr().context("--listen")?;
                (Bound::Tcp(incoming), Listen::Tcp(address).to_string())
            }
        };
        drop(entered);
        Ok(Self { runtime, socket, place })
    }

    /// Where it serves, as clients take it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Answers from now on.
    pub fn start(self, api: Api) -> Serving {
        let Self { runtime, socket, place: _ } = self;
        let task = runtime.spawn({
            let api = api.clone();
            async move {
                let routes = api.routes().await?;
                match socket {
                    Bound::Unix(UnixSocket { incoming, guard }) => {
                        api.serve(routes, incoming).await?;
                        drop(guard);
                    }
                    Bound::Tcp(incoming) => api.serve(routes, incoming).await?,
                }
                Ok(())
            }
        });
        Serving { runtime, api, task }
    }
}

// === impl Serving ===

impl Serving {
    /// Ends all streams and waits a moment for the calls under way.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { runtime, api, task } = self;
        api.shut_down();
        let ended = runtime.block_on(async { tokio::time::timeout(LAST_CALLS, task).await });
        // whoever has not ended by then is cut off
        ended.map_or(Ok(()), |task| task.context("the server has panicked")?)
    }
}
