//! Files that are too large to be made in memory first.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// So many bytes are written at most before the disk is asked to have them: the last sync is never of many, and who
/// writes notices a slow disk while there is time.
const SYNC_EVERY: usize = 16 << 20;

/// Replaces a file by what `write` makes, as [`super::write`] does, but keeps no generation before: the old file and
/// the new one need room at the same time. On failure the old one stays.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    let folder = super::make_folder(path)?;
    let temporary = temporary(path);
    let made = make(&temporary, write).and_then(|made| {
        fs::rename(&temporary, path)?;
        Ok(made)
    });
    if made.is_err() {
        drop(fs::remove_file(&temporary));
    }
    let made = made?;
    File::open(folder)?.sync_all()?;
    Ok(made)
}

/// Removes what a [`replace`] left that did not come to its end, for it takes room that nobody gives back.
pub fn remove_unfinished(path: &Path) -> io::Result<()> {
    match fs::remove_file(temporary(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn temporary(path: &Path) -> std::path::PathBuf {
    super::beside(path, ".tmp")
}

fn make<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    let mut out = BufWriter::new(Synced { file: super::open_private(path)?, unsynced: 0 });
    let made = write(&mut out)?;
    let Synced { file, unsynced: _ } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(made)
}

/// A file that is synced while it grows.
struct Synced {
    file: File,
    unsynced: usize,
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/state");
        for text in ["one", "two"] {
            let answer = replace(&path, |out| {
                out.write_all(text.as_bytes())?;
                Ok(7)
            });
            assert_eq!(answer.unwrap(), 7);
            assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(path.parent().unwrap()), ["state"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        replace(&path, |out| out.write_all(b"old")).unwrap();
        let failed: io::Result<()> = replace(&path, |out| {
            out.write_all(&vec![b'x'; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["state"]);
    }

    #[test]
    fn what_an_end_in_between_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, "old").unwrap();
        fs::write(temporary(&path), "half").unwrap();
        remove_unfinished(&path).unwrap();
        remove_unfinished(&path).unwrap();
        assert_eq!(names(folder.path()), ["state"]);
    }
}
