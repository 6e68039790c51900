//! An instance: one agent for one network namespace.
//!
//! The lock is a file that only root can make, named after the network namespace; the kernel releases it when the
//! process dies, however it dies. It holds the process id for whoever finds it taken.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::fcntl::{Flock, FlockArg};

/// Where the locks are.
const LOCK_DIR: &str = "/run/palomar";

/// The lock of this network namespace; released when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub struct InstanceLock {
    _file: Flock<fs::File>,
    path: PathBuf,
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
    /// The lock file cannot be made or locked.
    #[error("cannot take the lock {} of this network namespace", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl InstanceLock {
    /// Takes the lock of the calling thread's network namespace.
    pub fn take() -> Result<Self, LockRefused> {
        let dir = Path::new(LOCK_DIR);
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |source| LockRefused::Io { path, source }
        };
        let namespace = network_namespace().map_err(refused(dir))?;
        let path = dir.join(format!("agent-{namespace}.lock"));
        fs::create_dir_all(dir).map_err(refused(&path))?;
        loop {
            let file = fs::File::options().create(true).truncate(false).read(true).write(true).open(&path);
            let file = file.map_err(refused(&path))?;
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((mut file, nix::Error::EWOULDBLOCK)) => {
                    return Err(LockRefused::Held { holder: holder(&mut file) });
                }
                Err((_, error)) => return Err(refused(&path)(error.into())),
            };
            // The holder before may have removed the file between our opening and our locking it.
            let locked = file.metadata().map_err(refused(&path))?;
            if fs::metadata(&path).is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino())) {
                let write = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                write.map_err(refused(&path))?;
                return Ok(Self { _file: file, path });
            }
        }
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody locks a file that is about to go.
        let Self { _file: _, path } = self;
        let _ = fs::remove_file(path);
    }
}

fn holder(file: &mut fs::File) -> String {
    let mut text = String::new();
    let _ = file.take(20).read_to_string(&mut text);
    let Ok(pid) = text.parse::<u32>() else { return "its process id cannot be told".to_owned() };
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
