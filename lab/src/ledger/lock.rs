//! One process holds a lab at a time: a file lock, which the kernel frees when the process ends in whatever way.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::LabError;
use crate::name::LabName;

/// The lock of a lab, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

// === impl Lock ===

impl Lock {
    /// Takes the lock; `None` if another process, or another lab of this one, has it.
    pub(super) fn take(dir: &Path, name: &LabName) -> Result<Option<Self>, LabError> {
        let path = file(dir, name);
        let io = |call| LabError::io(call, path.display().to_string());
        loop {
            let file =
                File::options().create(true).truncate(false).write(true).open(&path).map_err(io("open"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(io("lock")(error)),
            }
            // the former holder may have removed the file between our open and our lock
            let ours = file.metadata().map_err(io("look at"))?.ino();
            if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                return Ok(Some(Self { path, file }));
            }
        }
    }

    /// Whether a process has the lock.
    pub(super) fn is_held(dir: &Path, name: &LabName) -> bool {
        File::open(file(dir, name)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Removes the file, then frees the lock.
    pub(super) fn remove(self) {
        let Self { path, file } = self;
        // one that stays behind is empty and does no harm
        let _ = fs::remove_file(path);
        drop(file);
    }
}

fn file(dir: &Path, name: &LabName) -> PathBuf {
    dir.join(format!("{name}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let name: LabName = "t".parse().unwrap();
        assert!(!Lock::is_held(dir.path(), &name));
        let first = Lock::take(dir.path(), &name).unwrap().unwrap();
        assert!(Lock::take(dir.path(), &name).unwrap().is_none());
        assert!(Lock::is_held(dir.path(), &name));
        first.remove();
        assert!(!Lock::is_held(dir.path(), &name));
        assert!(Lock::take(dir.path(), &name).unwrap().is_some());
    }
}
