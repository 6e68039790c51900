//! An instance: one agent for one network namespace.
//!
//! The lock is an abstract unix socket, whose names are scoped by network namespace: it needs no file, dies with
//! the process, and tells the holder's process id to whoever finds it taken.

use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

const LOCK_NAME: &[u8] = b"palomar-agent.lock";

/// The lock of this network namespace; released when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub struct InstanceLock {
    _listener: UnixListener,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockRefused {
    /// Another agent runs for this network namespace.
    #[error("another agent already runs for this network namespace: {holder}; stop it first")]
    Held {
        /// Process id and command line of the holder, as far as they can be told.
        holder: String,
    },
    /// The system call failed.
    #[error("cannot take the lock of this network namespace")]
    Io(#[from] io::Error),
}

impl InstanceLock {
    /// Takes the lock of the calling thread's network namespace.
    pub fn take() -> Result<Self, LockRefused> {
        let address = SocketAddr::from_abstract_name(LOCK_NAME)?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Self { _listener: listener }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(LockRefused::Held { holder: holder(&address) })
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn holder(address: &SocketAddr) -> String {
    let pid = UnixStream::connect_addr(address)
        .ok()
        .and_then(|stream| getsockopt(&stream.as_fd(), PeerCredentials).ok())
        .map(|credentials| credentials.pid());
    let Some(pid) = pid else { return "its process id cannot be told".to_owned() };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    format!("process {pid} ({})", command.trim().escape_debug())
}

/// The lock of a state directory: two agents, of two network namespaces, must not share one. Released when dropped.
pub fn lock_state_dir(state_dir: &Path) -> Result<Flock<fs::File>, StateDirRefused> {
    let path = state_dir.join("lock");
    let refused = |source: io::Error| StateDirRefused::Io { path: path.clone(), source };
    let file = fs::File::options().create(true).truncate(false).write(true).open(&path).map_err(refused)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::Error::EWOULDBLOCK => StateDirRefused::Held { path: state_dir.to_owned() },
        error => refused(error.into()),
    })
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirRefused {
    /// Another agent uses it.
    #[error("the state directory {} is in use by another agent; give each network namespace its own with --state-dir and --socket", path.display())]
    Held {
        /// The directory.
        path: PathBuf,
    },
    /// The lock file cannot be opened or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The number of this thread's network namespace: its inode.
pub fn network_namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/thread-self/ns/net")?.ino())
}

/// The folder in the BPF file system for this thread's network namespace.
pub fn pin_dir(bpf_dir: &Path) -> io::Result<PathBuf> {
    Ok(bpf_dir.join(network_namespace()?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_the_holders_process_id_until_the_first_is_dropped() {
        let first = InstanceLock::take().unwrap();
        let refused = InstanceLock::take().unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        InstanceLock::take().unwrap();
    }
}
