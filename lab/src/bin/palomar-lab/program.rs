//! Where the programs are that this one starts.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The program that was named, or the one beside this program.
pub fn beside(named: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let beside = || env::current_exe().map(|this| this.with_file_name(name)).context("find this program");
    let path = named.map_or_else(beside, |path| Ok(path.to_owned()))?;
    fs::canonicalize(&path).with_context(|| format!("{} (name another with a flag)", path.display()))
}

/// Whether a program can be found by its name.
pub fn is_on_path(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
