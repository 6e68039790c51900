//! The cluster as its source tells it: versioned immutable snapshots.
//!
//! [`ManifestSource`] watches a directory of Kubernetes YAML. A file with an error is refused whole; its objects stay
//! as they were last good, which is kept in the state directory and survives a restart. [`none`] is the source that
//! knows nobody.

mod books;
mod folder;
mod manifests;
mod parse;
mod saved;
mod settle;
mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use palomar_manifest::{ManifestError, ObjectKey};
use palomar_model::shared_map::SharedMap;
use palomar_model::world::World;
use tokio::sync::watch;

pub use manifests::{ManifestSource, StartError};
pub use saved::{ChooseError, choose};
pub use snapshots::Snapshots;

/// One snapshot of the cluster.
#[derive(Debug, Clone, Default)]
pub struct VersionedWorld {
    /// Raised by one with each snapshot; 0 for the empty world of the source `none`.
    pub version: u64,
    /// The objects in force.
    pub world: Arc<World>,
    /// The same objects as they were written.
    pub objects: SharedMap<ObjectKey, WrittenObject>,
    /// What was refused, in the order of the files.
    pub refused: Vec<Refusal>,
    /// Objects of kinds that are not read, by `apiVersion` and kind. The text is the files': escape it.
    pub ignored: BTreeMap<String, usize>,
    /// Why the source cannot be read at present; the world is the last good one then. Where it can be read: what was
    /// wrong with the kept last good objects at the start, if anything was.
    pub complaint: Option<String>,
}

/// An object as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenObject {
    /// Its kind and name.
    pub key: ObjectKey,
    /// The file that it was last good in, as it is named in the directory.
    pub file: Arc<str>,
    /// The line of it that the object begins on, from 1.
    pub line: u32,
    /// As JSON on one line, cut down to the fields that are read.
    pub source: Arc<str>,
}

/// Something in a file that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// File, line, field and reason.
    pub error: ManifestError,
    /// The objects of the file that stay in force as they were last good. Empty where there are none, and where only
    /// an object that another file names first was refused.
    pub kept: Arc<[ObjectKey]>,
}

/// The source that knows nobody: an empty world for ever. Keep the sender; without it receivers see the channel close.
pub fn none() -> (watch::Sender<Arc<VersionedWorld>>, watch::Receiver<Arc<VersionedWorld>>) {
    watch::channel(Arc::default())
}
