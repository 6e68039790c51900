//! The last good objects on disk, and which directory they came from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use palomar_manifest::ManifestObject;
use serde::Deserialize;

use super::books::Books;
use super::folder::Inode;
use crate::durable::{self, Loaded};

const FORMAT: u32 = 1;

/// What an earlier agent knew.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    format: u32,
    /// The directory that was watched.
    pub(super) directory: PathBuf,
    /// Which directory it was.
    pub(super) inode: Inode,
    /// By file: its last good objects, as Kubernetes JSON.
    files: BTreeMap<String, Vec<serde_json::Value>>,
}

/// Why no source can be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The state directory belongs to an agent that had manifests, and there are none now.
    #[error(
        "the manifests directory {} was used before and {what}; an empty world would have no policies: \
         name a directory with --manifests, or say --cluster-source none",
        directory.display()
    )]
    Forgotten {
        /// The directory of the earlier agent.
        directory: PathBuf,
        /// What is with it now.
        what: &'static str,
    },
    /// The state directory cannot be read.
    #[error("cannot read {}", path.display())]
    State {
        /// The file in it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The manifests directory to use where no source was named: `default_directory` if it is there, `None` if not.
/// `None` stands for the source that knows nobody.
///
/// # Errors
///
/// There is no such directory, but the state directory has known one: an empty world would drop its policies.
pub fn choose(default_directory: &Path, state_dir: &Path) -> Result<Option<PathBuf>, ChooseError> {
    if default_directory.exists() {
        return Ok(Some(default_directory.to_owned()));
    }
    let path = path(state_dir);
    let loaded = load(&path).map_err(|source| ChooseError::State { path, source })?;
    let Some(Saved { directory, .. }) = loaded.value else { return Ok(None) };
    let what = if directory.exists() { "is not named now" } else { "is missing now" };
    Err(ChooseError::Forgotten { directory, what })
}

/// The file in the state directory.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("manifests.json")
}

pub(super) fn load(path: &Path) -> io::Result<Loaded<Saved>> {
    durable::load(path, |bytes| {
        let saved: Saved = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if saved.format == FORMAT {
            Ok(saved)
        } else {
            Err(format!("format {} is not {FORMAT}", saved.format))
        }
    })
}

/// The bytes of the file. Each object is on a line of its own, as it was checked when it was read.
pub(super) fn encode(directory: &Path, inode: Inode, books: &Books) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "{{\"format\":{FORMAT},\"directory\":{},\"inode\":[{},{}],\"files\":{{",
        quoted(&directory.to_string_lossy()),
        inode.0,
        inode.1
    );
    for (position, (name, entries)) in books.last_good().enumerate() {
        text.push_str(if position == 0 { "\n" } else { ",\n" });
        text.push_str(&quoted(name));
        text.push_str(":[");
        for (position, entry) in entries.iter().enumerate() {
            text.push_str(if position == 0 { "\n" } else { ",\n" });
            text.push_str(&entry.source);
        }
        text.push(']');
    }
    text.push_str("}}\n");
    text.into_bytes()
}

impl Saved {
    /// The objects by file. One that this version refuses is left out, and told.
    pub(super) fn objects(self) -> BTreeMap<String, Vec<ManifestObject>> {
        let read = |name: &str, source: &serde_json::Value| {
            let manifest = palomar_manifest::parse(name, &source.to_string());
            for error in &manifest.errors {
                tracing::error!(%error, "a last good object is not good for this version");
            }
            manifest.objects
        };
        let files = self.files.into_iter().map(|(name, sources)| {
            let objects = sources.iter().flat_map(|source| read(&name, source)).collect();
            (name, objects)
        });
        files.collect()
    }
}
