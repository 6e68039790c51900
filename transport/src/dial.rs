//! One connection to a target, before any HTTP/2 is spoken over it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::{ClientTls, Target};

/// What carries bytes both ways.
pub(crate) trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// An address that was tried; prints as Go's network errors name it: `tcp 127.0.0.1:4245`, `unix /run/p.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why there is no connection.
#[derive(Clone, Debug, Error)]
pub enum DialError {
    /// The name has no address.
    #[error("cannot find the address of {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The system refused; of several addresses, the last.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address.
        address: DialAddress,
        /// What the system said; its kind tells a missing socket, a refusal and missing rights apart.
        source: Arc<io::Error>,
    },
    /// The server does not speak TLS, or its certificate is not to be trusted.
    #[error("the TLS handshake failed")]
    Handshake {
        /// What went wrong.
        source: Arc<io::Error>,
    },
}

impl fmt::Display for DialAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Unix(path) => write!(f, "unix {}", path.display()),
        }
    }
}

/// Connects, and shakes hands if TLS is to be spoken.
pub(crate) async fn dial(target: Target, tls: Option<ClientTls>) -> Result<Box<dyn Link>, DialError> {
    match target {
        Target::Unix(path) => {
            let connected = UnixStream::connect(&path).await;
            let link = connected.map_err(|source| refused(DialAddress::Unix(path), source))?;
            secure(link, "localhost", tls).await
        }
        Target::Tcp { host, port } => secure(dial_tcp(&host, port).await?, &host, tls).await,
    }
}

/// Tries every address of a name, one after the other.
async fn dial_tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let unknown = |source| DialError::Resolve { host: host.to_owned(), source: Arc::new(source) };
    let addresses = lookup_host((host, port)).await.map_err(unknown)?;
    let mut last = None;
    for address in addresses {
        let connected =
            TcpStream::connect(address).await.and_then(|link| link.set_nodelay(true).map(|()| link));
        match connected {
            Ok(link) => return Ok(link),
            Err(source) => last = Some(refused(DialAddress::Tcp(address), source)),
        }
    }
    Err(last.unwrap_or_else(|| unknown(io::ErrorKind::NotFound.into())))
}

async fn secure(
    link: impl Link + 'static,
    host: &str,
    tls: Option<ClientTls>,
) -> Result<Box<dyn Link>, DialError> {
    let Some(tls) = tls else { return Ok(Box::new(link)) };
    let secured = tls.handshake(host, link).await;
    Ok(Box::new(secured.map_err(|source| DialError::Handshake { source: Arc::new(source) })?))
}

fn refused(address: DialAddress, source: io::Error) -> DialError {
    DialError::Connect { address, source: Arc::new(source) }
}
