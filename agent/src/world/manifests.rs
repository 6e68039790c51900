//! The source `manifests`: a directory, watched.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use palomar_manifest::Escaped;
use tokio::sync::watch;

use super::books::{Books, Changed};
use super::folder::{Folder, Inode, Scan};
use super::settle::Settle;
use super::snapshots::Snapshots;
use super::{VersionedWorld, saved};
use crate::durable::{Keeper, KeeperStatus};

/// The directory is looked at this often even if nothing tells of a change: files behind symbolic links change
/// unseen, and a directory that went away comes back.
const POLL: Duration = Duration::from_secs(1);

/// Watches a directory of manifests from a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct ManifestSource {
    worlds: watch::Receiver<Arc<VersionedWorld>>,
    signals: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
    keeper: Arc<Keeper>,
}

/// Why a source cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory is not there.
    #[error("cannot read the manifests directory {} (an empty world would have no policies, so it must be there)", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: io::Error,
    },
    /// Another directory stands in its place, and it is empty.
    #[error(
        "the manifests directory {} is empty, and is not the directory that held manifests before (is a volume \
         missing?); to start with an empty world put a file with a comment into it, such as none.yaml",
        directory.display()
    )]
    Emptied {
        /// The directory.
        directory: PathBuf,
    },
    /// The last good objects cannot be read.
    #[error("cannot read the last good objects in {}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start the thread that watches manifests")]
    Thread(#[source] io::Error),
}

#[derive(Debug)]
enum Signal {
    Event(notify::Result<Event>),
    Stop,
}

/// The thread's state.
struct Watching {
    directory: PathBuf,
    folder: Folder,
    snapshots: Snapshots,
    inode: Inode,
    complaint: Option<String>,
    /// What was wrong with the last good objects at the start.
    damage: Option<String>,
    worlds: watch::Sender<Arc<VersionedWorld>>,
    keeper: Arc<Keeper>,
    watcher: Option<RecommendedWatcher>,
    watched: Option<Inode>,
    signals: Sender<Signal>,
}

// === impl ManifestSource ===

impl ManifestSource {
    /// Reads the directory once and watches it from then on. The first snapshot is there when this returns.
    pub fn start(directory: &Path, state_dir: &Path) -> Result<Self, StartError> {
        let path = saved::path(state_dir);
        let loaded = saved::load(&path).map_err(|source| StartError::State { path: path.clone(), source })?;
        if let Some(damage) = &loaded.damage {
            tracing::error!(error = %damage, "the last good objects are damaged");
        }
        let known_inode = loaded.value.as_ref().map(|saved| saved.inode);
        let books = Books::restore(loaded.value.map(saved::Saved::objects).unwrap_or_default());

        let keeper = Arc::new(Keeper::start(&path));
        let (signals, received) = mpsc::channel();
        let (sender, worlds) = watch::channel(Arc::default());
        let mut watching = Watching {
            directory: directory.to_owned(),
            folder: Folder::new(directory),
            snapshots: Snapshots::after(books),
            inode: known_inode.unwrap_or_default(),
            complaint: None,
            damage: loaded.damage.map(|damage| damage.to_string()),
            worlds: sender,
            keeper: Arc::clone(&keeper),
            watcher: None,
            watched: None,
            signals: signals.clone(),
        };
        watching.follow();
        let scan = watching.folder.scan(&BTreeSet::new());
        let scan =
            scan.map_err(|source| StartError::Directory { directory: directory.to_owned(), source })?;
        if watching.is_replaced_and_empty(&scan) {
            return Err(StartError::Emptied { directory: directory.to_owned() });
        }
        watching.take_in(scan);
        watching.keep();
        watching.publish();
        let run = thread::Builder::new().name("manifests".into()).spawn(move || watching.run(&received));
        let thread = run.map_err(StartError::Thread)?;
        Ok(Self { worlds, signals, thread: Some(thread), keeper })
    }

    /// The snapshots: the newest at any time, and a wake-up for each new one.
    pub fn worlds(&self) -> watch::Receiver<Arc<VersionedWorld>> {
        self.worlds.clone()
    }

    /// How keeping the last good objects goes.
    pub fn keeping(&self) -> KeeperStatus {
        self.keeper.status()
    }
}

impl Drop for ManifestSource {
    fn drop(&mut self) {
        // The thread may have ended; then there is nobody to tell.
        drop(self.signals.send(Signal::Stop));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

// === impl Watching ===

impl Watching {
    fn run(mut self, signals: &Receiver<Signal>) {
        let mut settle = Settle::default();
        let mut next_poll = Instant::now() + POLL;
        loop {
            let due = settle.due().map_or(next_poll, |due| due.min(next_poll));
            match signals.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Signal::Event(Ok(event))) => settle.event(&event, Instant::now()),
                Ok(Signal::Event(Err(error))) => {
                    tracing::warn!(%error, "watching manifests: an event was lost");
                    settle.mark(Instant::now());
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if settle.due().is_none_or(|due| due > now) && next_poll > now {
                continue;
            }
            self.follow();
            self.look(&settle.take_busy(now));
            next_poll = Instant::now() + POLL;
        }
    }

    /// Watches the directory that has the name now.
    fn follow(&mut self) {
        let Ok(metadata) = fs::metadata(&self.directory) else {
            self.watched = None;
            return;
        };
        let inode = (metadata.dev(), metadata.ino());
        if self.watched == Some(inode) {
            return;
        }
        let signals = self.signals.clone();
        // Nobody is there to tell once the thread has ended.
        let handler = move |event| drop(signals.send(Signal::Event(event)));
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(&self.directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, every_s = POLL.as_secs(), "cannot watch manifests; looking at them again and again");
            }
        }
        self.watched = Some(inode);
    }

    fn look(&mut self, busy: &BTreeSet<String>) {
        let mut changed = Changed::default();
        let complaint = match self.folder.scan(busy) {
            Ok(scan) if self.is_replaced_and_empty(&scan) => {
                Some(format!("{} was replaced by an empty directory", self.directory.display()))
            }
            Ok(scan) => {
                changed = self.take_in(scan);
                None
            }
            Err(error) => Some(format!("cannot read {}: {error}", self.directory.display())),
        };
        if !changed.anything && complaint == self.complaint {
            return;
        }
        self.complain(complaint);
        self.publish();
        if changed.last_good {
            self.keep();
        }
    }

    fn complain(&mut self, complaint: Option<String>) {
        match &complaint {
            Some(complaint) if self.complaint.as_ref() != Some(complaint) => {
                tracing::error!("{}; the last good world stays in force", Escaped(complaint));
            }
            None if self.complaint.is_some() => tracing::info!("the manifests directory can be read again"),
            _ => {}
        }
        self.complaint = complaint;
    }

    /// An unmounted volume leaves an empty directory behind; so does whoever is about to fill a new one.
    fn is_replaced_and_empty(&self, scan: &Scan) -> bool {
        scan.files.is_empty() && !self.snapshots.books().is_empty() && scan.inode != self.inode
    }

    fn take_in(&mut self, scan: Scan) -> Changed {
        let Scan { inode, files } = scan;
        let is_other = std::mem::replace(&mut self.inode, inode) != inode;
        let changed = self.snapshots.take_in(files);
        Changed { last_good: changed.last_good || is_other, ..changed }
    }

    fn keep(&self) {
        self.keeper.put(saved::encode(&self.directory, self.inode, self.snapshots.books()));
    }

    /// Sends a snapshot, unless the last one says the same.
    fn publish(&mut self) {
        let complaint = self.complaint.as_ref().or(self.damage.as_ref());
        if let Some(world) = self.snapshots.next(complaint) {
            self.worlds.send_replace(world);
        }
    }
}
