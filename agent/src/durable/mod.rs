//! Files that must outlive the agent: written whole or not at all, and a full disk never stops anyone.
//!
//! A file is written beside its place, synced, and renamed into it. The generation before stays as
//! `<name>.previous`, so that a file that the disk has damaged costs one change, not everything.

mod keeper;
mod stream;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use keeper::{Keeper, KeeperStatus};
pub use stream::{remove_unfinished, replace};

/// What was found where a file was kept.
#[derive(Debug)]
pub struct Loaded<T> {
    /// What it held; `None` where there never was one, or where neither generation can be read.
    pub value: Option<T>,
    /// What was wrong, where something was.
    pub damage: Option<Damaged>,
}

/// A kept file that does not hold what was written. It was moved aside for whoever wants to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged ({reason}); it was moved to {}, and {} is used",
    path.display(),
    aside.display(),
    if *has_previous { "the generation before" } else { "nothing of it" }
)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Where it is now.
    pub aside: PathBuf,
    /// Whether the generation before could be read.
    pub has_previous: bool,
}

/// Replaces a file, and makes its folders where they are missing. Readable by its owner alone.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = make_folder(path)?;
    let temporary = beside(path, ".tmp");
    let written = write_new(&temporary, bytes).and_then(|()| {
        // The first time there is nothing before, and file systems without hard links keep one generation.
        let previous = beside(path, ".previous");
        drop(fs::remove_file(&previous));
        drop(fs::hard_link(path, &previous));
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // A half-written file would hold the space that the next try needs.
        drop(fs::remove_file(&temporary));
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The folder of a file, made where it is missing.
fn make_folder(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder)
}

/// An empty file for its owner alone.
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Reads a kept file. One that `decode` refuses is moved aside, and the generation before is tried.
///
/// # Errors
///
/// The file is there and cannot be read: whoever asks must not go on as if there were none.
pub fn load<T>(path: &Path, decode: impl Fn(&[u8]) -> Result<T, String>) -> io::Result<Loaded<T>> {
    let Some(bytes) = read_if_there(path)? else { return Ok(Loaded { value: None, damage: None }) };
    let reason = match decode(&bytes) {
        Ok(value) => return Ok(Loaded { value: Some(value), damage: None }),
        Err(reason) => reason,
    };
    let previous = read_if_there(&beside(path, ".previous"))?;
    let value = previous.and_then(|bytes| decode(&bytes).ok());
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = beside(path, &format!(".damaged-{seconds}"));
    fs::rename(path, &aside)?;
    let damage = Damaged { path: path.to_owned(), reason, aside, has_previous: value.is_some() };
    Ok(Loaded { value, damage: Some(damage) })
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if text.starts_with("good") { Ok(text) } else { Err("not good".into()) }
    }

    #[test]
    fn a_damaged_file_is_moved_aside_and_the_generation_before_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/state");
        assert!(load(&path, decode).unwrap().value.is_none());
        for text in ["good 1", "good 2", "good 3"] {
            write(&path, text.as_bytes()).unwrap();
        }
        let loaded = load(&path, decode).unwrap();
        assert_eq!((loaded.value.as_deref(), loaded.damage), (Some("good 3"), None));

        fs::write(&path, "go").unwrap();
        let loaded = load(&path, decode).unwrap();
        assert_eq!(loaded.value.as_deref(), Some("good 2"));
        let damage = loaded.damage.unwrap();
        assert_eq!(fs::read(&damage.aside).unwrap(), b"go");
        let told = damage.to_string();
        assert!(
            told.contains("is damaged (not good)") && told.ends_with("the generation before is used"),
            "{told}"
        );
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_not_an_absent_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path(), decode).is_err(), "a folder in its place");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write(&path, b"good 1").unwrap();
        fs::create_dir(beside(&path, ".tmp")).unwrap();
        assert!(write(&path, b"good 2").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"good 1");
    }
}
