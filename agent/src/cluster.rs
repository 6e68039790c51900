//! Which source the cluster's objects come from.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::sync::watch;

use crate::config::{ClusterSource, DEFAULT_MANIFESTS, RunArgs};
use crate::control::Signal;
use crate::world::{self, ManifestSource, VersionedWorld};

/// The source of the cluster's objects.
pub enum ClusterWorld {
    /// A watched directory.
    Manifests(ManifestSource),
    /// Nobody.
    None {
        /// Keeps the channel open.
        _sender: watch::Sender<Arc<VersionedWorld>>,
        /// The empty world.
        worlds: watch::Receiver<Arc<VersionedWorld>>,
    },
}

impl ClusterWorld {
    /// Starts the source that the command line asks for.
    pub fn start(args: &RunArgs) -> anyhow::Result<Self> {
        let directory = match (args.cluster_source, &args.manifests) {
            (Some(ClusterSource::None), Some(_)) => {
                anyhow::bail!("--manifests and --cluster-source none contradict each other")
            }
            (Some(ClusterSource::None), None) => None,
            (_, Some(directory)) => Some(directory.clone()),
            (Some(ClusterSource::Manifests), None) => Some(DEFAULT_MANIFESTS.into()),
            (None, None) => world::choose(Path::new(DEFAULT_MANIFESTS), &args.state_dir)?,
        };
        let Some(directory) = directory else {
            tracing::info!("no cluster source: addresses only");
            let (sender, worlds) = world::none();
            return Ok(Self::None { _sender: sender, worlds });
        };
        let source = ManifestSource::start(&directory, &args.state_dir)?;
        tracing::info!(directory = %directory.display(), "watching manifests");
        Ok(Self::Manifests(source))
    }

    /// Which kind of source it is.
    pub fn kind(&self) -> ClusterSource {
        match self {
            Self::Manifests(_) => ClusterSource::Manifests,
            Self::None { .. } => ClusterSource::None,
        }
    }

    fn worlds(&self) -> watch::Receiver<Arc<VersionedWorld>> {
        match self {
            Self::Manifests(source) => source.worlds(),
            Self::None { worlds, .. } => worlds.clone(),
        }
    }

    /// The newest world.
    pub fn newest(&self) -> Arc<VersionedWorld> {
        self.worlds().borrow().clone()
    }

    /// Tells the control path of each new world, from a runtime of its own thread.
    pub fn forward(&self, signals: Sender<Signal>) -> io::Result<tokio::runtime::Runtime> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("worlds").build()?;
        let mut worlds = self.worlds();
        worlds.mark_changed();
        runtime.spawn(async move {
            while worlds.changed().await.is_ok() {
                let world = worlds.borrow_and_update().clone();
                if signals.send(Signal::World(world)).is_err() {
                    return;
                }
            }
        });
        Ok(runtime)
    }
}
