//! The record's file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::name::LabName;
use crate::process::ProcessId;

/// What a lab has created or is about to create.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The boot whose processes are meant.
    pub(super) boot_id: String,
    /// The process that holds the lab; `None` once it is kept.
    pub(super) owner: Option<ProcessId>,
    pub(super) namespaces: BTreeSet<String>,
    pub(super) processes: BTreeSet<ProcessId>,
    pub(super) directories: BTreeSet<PathBuf>,
}

// === impl Record ===

impl Record {
    /// Reads the record of a lab; `None` if there is none.
    pub(super) fn load(dir: &Path, name: &LabName) -> Result<Option<Self>, LabError> {
        let path = file(dir, name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LabError::io("read", path.display().to_string())(error)),
        };
        let damaged = |source| LabError::DamagedRecord { name: name.to_string(), path: path.clone(), source };
        let record: Self = serde_json::from_slice(&text).map_err(|error| damaged(error.into()))?;
        if let Some(foreign) =
            record.namespaces.iter().find(|ns| !ns.starts_with(&name.prefix()) || ns.contains('/'))
        {
            return Err(damaged(io::Error::other(format!("namespace {foreign} is none of the lab's"))));
        }
        Ok(Some(record))
    }

    /// Replaces the file in one step.
    pub(super) fn save(&self, dir: &Path, name: &LabName) -> Result<(), LabError> {
        let path = file(dir, name);
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec_pretty(self).expect("invariant: a record has string keys only");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(LabError::io("write", path.display().to_string()))
    }

    pub(super) fn delete(dir: &Path, name: &LabName) -> Result<(), LabError> {
        let path = file(dir, name);
        fs::remove_file(&path).map_err(LabError::io("remove", path.display().to_string()))
    }

    /// Whether it names nothing that would have to be removed.
    pub(super) fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.processes.is_empty() && self.directories.is_empty()
    }
}

/// The labs that have a record, sorted. A directory that is not there holds none.
pub(super) fn names(dir: &Path) -> Result<Vec<LabName>, LabError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LabError::io("read", dir.display().to_string())(error)),
    };
    let mut names: Vec<LabName> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Different after each boot.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn file(dir: &Path, name: &LabName) -> PathBuf {
    dir.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name: LabName = "t".parse().unwrap();
        assert!(Record::load(dir.path(), &name).unwrap().is_none());
        let mut record = Record { boot_id: boot_id(), ..Record::default() };
        record.namespaces.insert("plm-t-node".to_owned());
        record.save(dir.path(), &name).unwrap();
        assert_eq!(Record::load(dir.path(), &name).unwrap().unwrap().namespaces, record.namespaces);
        assert_eq!(names(dir.path()).unwrap(), std::slice::from_ref(&name));
        for damage in ["", "{", r#"{"namespaces":["plm-t-node"]}"#] {
            fs::write(file(dir.path(), &name), damage).unwrap();
            assert!(
                matches!(Record::load(dir.path(), &name), Err(LabError::DamagedRecord { .. })),
                "{damage:?}"
            );
        }
    }

    #[test]
    fn a_record_that_names_foreign_namespaces_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name: LabName = "t".parse().unwrap();
        for foreign in ["cni-1", "plm-tt-node", "plm-t-../cni-1"] {
            let mut record = Record::default();
            record.namespaces.insert(foreign.to_owned());
            record.save(dir.path(), &name).unwrap();
            assert!(
                matches!(Record::load(dir.path(), &name), Err(LabError::DamagedRecord { .. })),
                "{foreign}"
            );
        }
    }
}
