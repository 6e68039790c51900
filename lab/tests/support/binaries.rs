//! The programs under test: beside the test's own executable, and no older than what they are made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The program of this name in the folder that the test was built into.
///
/// Panics with the command that builds it where it is absent or older than its sources.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.parent().and_then(Path::parent).expect("tests are two folders below the programs");
    let path = folder.join(name);
    if let Err(why) = is_fresh(&path) {
        panic!("{}: {why}\nbuild it with: cargo build --workspace --bins", path.display());
    }
    path
}

/// Cargo writes the files that a program was made of beside it.
fn is_fresh(path: &Path) -> Result<(), String> {
    let built = modified(path).ok_or("it is not there")?;
    let list = path.with_extension("d");
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let (_, sources) = text.split_once(": ").ok_or_else(|| format!("{} is no list", list.display()))?;
    for source in sources.trim_end().replace("\\ ", "\0").split(' ') {
        let source = PathBuf::from(source.replace('\0', " "));
        if modified(&source).is_none_or(|changed| changed > built) {
            return Err(format!("{} is newer than it, or gone", source.display()));
        }
    }
    Ok(())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
