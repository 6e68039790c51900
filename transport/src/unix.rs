//! The server's end of a Unix socket: takes the path over from a server that died, never from one that lives.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

/// Owner and group may connect, nobody else.
const SOCKET_MODE: u32 = 0o660;
/// Of a parent directory that has to be made.
const DIRECTORY_MODE: u32 = 0o755;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A Unix socket that is listened on.
#[derive(Debug)]
pub struct UnixSocket {
    /// For `serve_with_incoming_shutdown`.
    pub incoming: UnixListenerStream,
    /// Keep it for as long as the server serves.
    pub guard: SocketGuard,
}

/// Removes the socket file when dropped, unless another server has put its own in the place.
#[derive(Debug)]
pub struct SocketGuard {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Why a path cannot be listened on. Each message names the path.
#[derive(Debug, Error)]
pub enum BindError {
    /// A server answers there.
    #[error("socket {0} is in use by another server")]
    InUse(PathBuf),
    /// Something other than a socket is there; it is left alone.
    #[error("{0} is there and is not a socket")]
    NotASocket(PathBuf),
    /// Whether the socket that is there is in use cannot be found out; it is left alone.
    #[error("cannot find out whether socket {path} is in use")]
    Unknown {
        /// The socket's path.
        path: PathBuf,
        /// What connecting to it said.
        source: io::Error,
    },
    /// The parent directory cannot be made.
    #[error("cannot make directory {path}")]
    Directory {
        /// The directory's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Any other failure.
    #[error("cannot listen on socket {path}")]
    Listen {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

// === impl UnixSocket ===

impl UnixSocket {
    /// Listens on `path` with mode 0660. Makes the parent directory, and removes the socket of a server that
    /// died: one that refuses connections. Has to be called inside a tokio runtime.
    ///
    /// Two servers that start on the same path at the same moment are kept apart by their instance lock, not
    /// by this function.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent);
            made.map_err(|source| BindError::Directory { path: parent.to_owned(), source })?;
        }
        clear(path)?;
        let listen = |source| BindError::Listen { path: path.to_owned(), source };
        let (listener, guard) = listen_on(path).map_err(listen)?;
        let incoming = UnixListenerStream::new(UnixListener::from_std(listener).map_err(listen)?);
        Ok(Self { incoming, guard })
    }
}

/// Leaves `path` free, or says why it cannot be.
fn clear(path: &Path) -> Result<(), BindError> {
    let unknown = |source| BindError::Unknown { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(BindError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unknown(error)),
    }
    match knock(path) {
        Ok(()) => Err(BindError::InUse(path.to_owned())),
        // a queue that is full is somebody's queue
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| BindError::Listen { path: path.to_owned(), source })
        }
        Err(error) => Err(unknown(error)),
    }
}

/// Connects without waiting, even where the other end never accepts.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn listen_on(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, SocketGuard)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let address = SockAddr::unix(path)?;
    // Linux gives the file the mode of the unbound socket, less the umask: at no moment may more users
    // connect than in the end.
    let unbound = File::from(OwnedFd::from(socket));
    unbound.set_permissions(Permissions::from_mode(SOCKET_MODE))?;
    let socket = Socket::from(OwnedFd::from(unbound));
    socket.bind(&address)?;
    let metadata = fs::symlink_metadata(path)?;
    let guard = SocketGuard { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)?;
    Ok((OwnedFd::from(socket).into(), guard))
}

// === impl SocketGuard ===

impl SocketGuard {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if ours {
            // a socket that stays behind refuses connections, and the next server removes it
            let _ = fs::remove_file(&self.path);
        }
    }
}
