//! A network namespace with a name, as `ip netns` makes them.

use std::fs::File;
use std::io;
use std::panic;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::LabError;

/// Where named network namespaces are, for us and for `ip netns`.
pub(crate) const NETNS_DIR: &str = "/run/netns";

/// A named network namespace. Holds the name only: it keeps nothing alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Its name for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, e.g. for `nsenter --net=…`.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(NETNS_DIR).join(&self.name)
    }

    /// Runs `work` on a thread of its own inside the namespace and returns its result. Sockets that it makes and
    /// processes that it starts belong to the namespace for as long as they live; only the network is switched,
    /// mounts (bpffs among them) stay the host's.
    ///
    /// # Errors
    /// When the namespace is not there, or the caller is not root.
    ///
    /// # Panics
    /// When `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let switched = || {
            let file = File::open(self.path())?;
            setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
            Ok(work())
        };
        let result = thread::scope(|scope| scope.spawn(switched).join());
        result
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
            .map_err(LabError::io("enter network namespace", &self.name))
    }
}
