//! From the texts of files to snapshots of the cluster. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::VersionedWorld;
use super::books::{Books, Changed, InForce};
use super::folder::Reading;

/// What the files held when they were last good, and the snapshot that was made of it last.
#[derive(Debug, Default)]
pub struct Snapshots {
    books: Books,
    in_force: InForce,
    complaint: Option<String>,
    version: u64,
}

impl Snapshots {
    /// To go on from what an earlier agent left.
    pub(super) fn after(books: Books) -> Self {
        Self { books, ..Self::default() }
    }

    pub(super) fn books(&self) -> &Books {
        &self.books
    }

    /// Takes in what a look at the directory found.
    pub(super) fn take_in(&mut self, files: BTreeMap<String, Reading>) -> Changed {
        self.books.update(files)
    }

    /// Reads new texts of files, by name; the other files stay as they are.
    pub fn read(&mut self, texts: impl IntoIterator<Item = (String, String)>) {
        self.books.change(texts.into_iter().map(|(name, text)| (name, Reading::Text(text))), Vec::new());
    }

    /// The snapshot of what was read; `None` where the last one says the same. `complaint`: see
    /// [`VersionedWorld::complaint`].
    pub fn next(&mut self, complaint: Option<&String>) -> Option<Arc<VersionedWorld>> {
        let in_force = self.books.in_force();
        for refusal in in_force.refused.iter().filter(|refusal| !self.in_force.refused.contains(refusal)) {
            tracing::error!(kept = refusal.kept.len(), "refused: {}", refusal.error);
        }
        let is_same = self.in_force.says_the_same(&in_force) && self.complaint.as_ref() == complaint;
        if is_same && self.version > 0 {
            return None;
        }
        self.in_force = in_force;
        self.complaint = complaint.cloned();
        self.version += 1;
        let InForce { world, objects, refused, ignored } = &self.in_force;
        Some(Arc::new(VersionedWorld {
            version: self.version,
            world: Arc::new(world.clone()),
            objects: objects.clone(),
            refused: refused.clone(),
            ignored: ignored.clone(),
            complaint: self.complaint.clone(),
        }))
    }
}
