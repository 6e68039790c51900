//! Writing a config file.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{files, yaml};

/// A password may be in it.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o750;

/// Changes the settings of a file, and makes it, with its directory, if there is none. What else is in it stays, its
/// remarks aside. The file is complete at every moment. A file that cannot be read is left as it is.
pub fn store(path: &Path, change: impl FnOnce(&mut BTreeMap<String, Value>)) -> Result<()> {
    let shown = path.display();
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent);
        made.context("configuration directory does not exist and cannot be created")?;
    }
    let file = files::read(path).with_context(|| format!("config file {shown} is left as it is"))?;
    let mut values = file.map(|file| file.values).unwrap_or_default();
    change(&mut values);
    replace(path, &yaml::document(&values)).with_context(|| format!("cannot write config file {shown}"))
}

/// Puts a text in the place of a file; the file's mode stays, and a link to it stays a link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).map_or(FILE_MODE, |metadata| metadata.permissions().mode());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary).and_then(
            |mut file| {
                file.set_permissions(Permissions::from_mode(mode))?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::rename(&temporary, &path)
            },
        );
    if written.is_err() {
        // it may not be there at all
        let _ = fs::remove_file(&temporary);
    }
    written
}
