//! The server's end: a listener that hands out connections whose handshake is done.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

use super::connection::TlsConnection;
use super::reload::{Certificates, Look};
use super::{TlsError, TlsFiles};

/// A client that has not shaken hands by then is sent away.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at one time; who comes then waits in the kernel's queue.
const MOST_HANDSHAKES: usize = 128;
/// Connections that may wait for the server to take them.
const READY: usize = 16;
/// The certificate files are looked at with each client, and so often while none comes.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a failure to accept, such as too many open files.
const NAP: Duration = Duration::from_millis(100);

/// A TCP port that speaks TLS 1.3. A stream of connections for `serve_with_incoming`; it never ends, and has no errors:
/// what goes wrong with one client concerns no other.
#[derive(Debug)]
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<TlsConnection>,
    accepting: JoinHandle<()>,
}

/// What the owner of a listener may want to log.
#[derive(Debug)]
pub enum TlsEvent {
    /// The certificate files changed and are in use; connections that stand stay as they are.
    Renewed,
    /// The certificate files changed and cannot be used; the last ones that could be stay in use.
    Kept(TlsError),
    /// A client did not get through the handshake.
    Refused {
        /// The client.
        peer: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum BindTlsError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
}

struct Acceptor {
    listener: TcpListener,
    certificates: Certificates,
    handshakes: Arc<Semaphore>,
    ready: mpsc::Sender<TlsConnection>,
    tell: Arc<dyn Fn(TlsEvent) + Send + Sync>,
}

// === impl TlsListener ===

impl TlsListener {
    /// Listens on an address, with the certificates of the files; they are looked at for each client that comes, and
    /// twice a minute while none does.
    /// With port zero the system chooses. Has to be called inside a tokio runtime.
    pub fn bind(
        address: SocketAddr,
        files: TlsFiles,
        tell: impl Fn(TlsEvent) + Send + Sync + 'static,
    ) -> Result<Self, BindTlsError> {
        let certificates = Certificates::load(files)?;
        let listen = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, TcpListener::from_std(listener)?))
        };
        let (local, listener) = listen().map_err(|source| BindTlsError::Listen { address, source })?;
        let (sender, ready) = mpsc::channel(READY);
        let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
        let acceptor = Acceptor { listener, certificates, handshakes, ready: sender, tell: Arc::new(tell) };
        Ok(Self { address: local, ready, accepting: tokio::spawn(acceptor.run()) })
    }

    /// The address that is listened on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Stream for TlsListener {
    type Item = io::Result<TlsConnection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(context).map(|stream| stream.map(Ok))
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// === impl Acceptor ===

impl Acceptor {
    async fn run(self) {
        loop {
            let handshakes = Arc::clone(&self.handshakes);
            let Ok(permit) = handshakes.acquire_owned().await else { return };
            let Ok(accepted) = timeout(LOOK_EVERY, self.listener.accept()).await else {
                self.look();
                continue;
            };
            let Ok((stream, peer)) = accepted else {
                sleep(NAP).await;
                continue;
            };
            let config = self.look();
            let (ready, tell) = (self.ready.clone(), Arc::clone(&self.tell));
            tokio::spawn(async move {
                match shake(TlsAcceptor::from(config), stream).await {
                    // the server may have ended meanwhile
                    Ok(stream) => drop(ready.send(stream).await),
                    Err(error) => tell(TlsEvent::Refused { peer, error }),
                }
                drop(permit);
            });
        }
    }
}

impl Acceptor {
    /// The configuration of now; tells what became of the files.
    fn look(&self) -> Arc<ServerConfig> {
        let (config, look) = self.certificates.current();
        match look {
            Look::Same => {}
            Look::Renewed => (self.tell)(TlsEvent::Renewed),
            Look::Kept(error) => (self.tell)(TlsEvent::Kept(error)),
        }
        config
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

async fn shake(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<TlsConnection> {
    stream.set_nodelay(true)?;
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(shaken) => shaken.map(TlsConnection),
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    }
}
