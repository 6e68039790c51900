//! Reading a directory of manifests.
//!
//! Which files: `*.yaml`, `*.yml` and `*.json` directly in the directory, as `kubectl apply -f` takes them; names that
//! begin with a dot are not looked at, nor are subdirectories. Symbolic links are followed, which is how a mounted
//! `ConfigMap` shows its files (`web.yaml` → `..data/web.yaml`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palomar_manifest::MAX_FILE_BYTES;

/// Clocks of file systems are coarse: a file changed less than this before it was read may have changed again without
/// looking different.
const RACY: Duration = Duration::from_secs(1);

/// [`MAX_FILE_BYTES`] as the kernel counts.
const LIMIT: u64 = MAX_FILE_BYTES as u64;

/// A directory, and what its files looked like when they were last read.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    seen: HashMap<String, Seen>,
}

/// What one look at the directory found.
#[derive(Debug)]
pub(super) struct Scan {
    /// Which directory it is.
    pub(super) inode: Inode,
    /// Its manifest files by name.
    pub(super) files: BTreeMap<String, Reading>,
}

/// Device and inode.
pub(super) type Inode = (u64, u64);

/// One file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As when it was last read.
    Unchanged,
    /// New, or other text than last time.
    Text(String),
    /// Why it cannot be read.
    Unreadable(String),
}

#[derive(Debug)]
struct Seen {
    look: Look,
    /// Whether the look alone can tell a change.
    is_settled: bool,
    content: u64,
}

/// What a file looks like without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: Inode,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

// === impl Folder ===

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: HashMap::new() }
    }

    /// Looks at every file but those in `busy`, which count as unchanged: somebody is writing them.
    ///
    /// # Errors
    ///
    /// The directory is not there or cannot be listed.
    pub(super) fn scan(&mut self, busy: &BTreeSet<String>) -> io::Result<Scan> {
        let metadata = fs::metadata(&self.path)?;
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_manifest(name)) else { continue };
            if busy.contains(name) {
                if self.seen.contains_key(name) {
                    files.insert(name.to_owned(), Reading::Unchanged);
                }
            } else if let Some(reading) = self.read(name) {
                files.insert(name.to_owned(), reading);
            }
        }
        self.seen.retain(|name, _| files.contains_key(name));
        Ok(Scan { inode: inode(&metadata), files })
    }

    /// `None` for what is not a file, or is gone by now.
    fn read(&mut self, name: &str) -> Option<Reading> {
        let path = self.path.join(name);
        let reading = match self.read_if_changed(name, &path) {
            Ok(reading) => reading?,
            Err(error) if fs::symlink_metadata(&path).is_err() => {
                tracing::debug!(file = name, %error, "gone while it was read");
                return None;
            }
            Err(error) => {
                self.seen.remove(name);
                Reading::Unreadable(format!("cannot be read: {error}"))
            }
        };
        Some(reading)
    }

    fn read_if_changed(&mut self, name: &str, path: &Path) -> io::Result<Option<Reading>> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let seen = self.seen.get(name);
        if seen.is_some_and(|seen| seen.is_settled && seen.look == Look::of(&metadata)) {
            return Ok(Some(Reading::Unchanged));
        }
        // A file may have become a pipe in the meantime: opening that must not wait for a writer.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let look = Look::of(&metadata);
        let is_settled = look.is_settled_at(SystemTime::now());
        if look.size > LIMIT {
            self.seen.remove(name);
            let reason =
                format!("{} bytes are too many for a file; the limit is {MAX_FILE_BYTES}", look.size);
            return Ok(Some(Reading::Unreadable(reason)));
        }
        // It may grow while it is read; the parser refuses what is one byte too long.
        let mut bytes = Vec::new();
        file.take(LIMIT + 1).read_to_end(&mut bytes)?;
        let content = hash(&bytes);
        let is_new = seen.is_none_or(|seen| seen.content != content);
        self.seen.insert(name.to_owned(), Seen { look, is_settled, content });
        if !is_new {
            return Ok(Some(Reading::Unchanged));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Ok(Some(Reading::Unreadable("is not UTF-8 text".to_owned())));
        };
        Ok(Some(Reading::Text(text)))
    }
}

/// Whether a file of this name is read.
pub(super) fn is_manifest(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    !name.starts_with('.') && matches!(extension, Some("yaml" | "yml" | "json"))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

// === impl Look ===

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: inode(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled_at(&self, now: SystemTime) -> bool {
        let changed = self.changed.max(self.modified).0;
        let Ok(changed) = u64::try_from(changed) else { return false };
        now.duration_since(UNIX_EPOCH + Duration::from_secs(changed)).is_ok_and(|age| age > RACY * 2)
    }
}
