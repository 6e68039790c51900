//! The config files: where they are, and what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;
use thiserror::Error;

use crate::surroundings::Surroundings;

const NAME: &str = "config.yaml";
/// A config file is no larger than this.
const MOST_BYTES: u64 = 1 << 20;

/// A file with its settings. Keys are in lower case; there may be others than ours.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    /// The settings.
    pub values: BTreeMap<String, Value>,
}

/// Where to look and where to write.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// In the order in which they count. Not all of them exist.
    pub read: Vec<PathBuf>,
    /// The one to write to.
    pub write: Option<PathBuf>,
}

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum InvalidFile {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// It is too long to be a config file.
    #[error("it is longer than {MOST_BYTES} bytes")]
    TooLong,
    /// It is no YAML.
    #[error("{0}")]
    Yaml(String),
    /// It is YAML, and not of keys with values.
    #[error("it is no list of keys with values")]
    NoMap,
}

impl File {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path for messages.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// A file that was named is the only one. Else the working directory's comes first, then ours, then Hubble's; of ours
/// and of Hubble's the first that exists: below `$XDG_CONFIG_HOME` (`~/.config`), or in `~/.palomar` and `~/.hubble`.
pub fn places(named: Option<&str>, surroundings: &Surroundings<'_>) -> Places {
    if let Some(named) = named {
        let path = surroundings.directory.join(named);
        return Places { read: vec![path.clone()], write: Some(path) };
    }
    let directory = |name| surroundings.variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = directory("HOME");
    let config_home = directory("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
    let mut read = vec![surroundings.directory.join(NAME)];
    let mut write = None;
    for product in ["palomar", "hubble"] {
        let usual = config_home.as_ref().map(|directory| directory.join(product).join(NAME));
        let fallback = home.as_ref().map(|home| home.join(format!(".{product}")).join(NAME));
        let all: Vec<PathBuf> = usual.into_iter().chain(fallback).collect();
        let first = all.iter().find(|path| path.exists()).or(all.first()).cloned();
        if product == "palomar" {
            write.clone_from(&first);
        }
        read.extend(first);
    }
    Places { read, write }
}

/// Reads a file; `None`: there is none.
pub fn read(path: &Path) -> Result<Option<File>, InvalidFile> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MOST_BYTES => return Err(InvalidFile::TooLong),
        Ok(_) => {}
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(InvalidFile::Unreadable(error)),
    }
    let text = fs::read_to_string(path).map_err(InvalidFile::Unreadable)?;
    Ok(Some(File { path: path.to_owned(), values: parse(&text)? }))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parse(text: &str) -> Result<BTreeMap<String, Value>, InvalidFile> {
    // as for Hubble, `yes` and `no` are texts: a password may be one
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let value: Option<Value> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        InvalidFile::Yaml(error.to_string().lines().next().unwrap_or_default().to_owned())
    })?;
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => {
            Ok(map.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect())
        }
        Some(_) => Err(InvalidFile::NoMap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_keys_with_values_or_nothing() {
        let parsed = parse("Server: host:1\ntls: true\nallowlist:\n    - '{}'\n# a remark\n").unwrap();
        assert_eq!(parsed["server"], Value::from("host:1"));
        assert_eq!(parsed["tls"], Value::Bool(true));
        let words = parse("basic-auth-password: no\ntls-ca-cert-files: [y, on]\n").unwrap();
        assert_eq!(words["basic-auth-password"], Value::from("no"));
        assert_eq!(words["tls-ca-cert-files"], serde_json::json!(["y", "on"]));
        assert_eq!(parsed["allowlist"], serde_json::json!(["{}"]));
        assert!(parse("").unwrap().is_empty());
        assert!(parse("# only a remark\n").unwrap().is_empty());
        assert!(matches!(parse("- a\n"), Err(InvalidFile::NoMap)));
        let error = parse("tls: [true\nserver: x\n").unwrap_err();
        assert!(matches!(error, InvalidFile::Yaml(_)) && !error.to_string().contains('\n'), "{error}");
    }
}
