//! The written record of what a lab has created, and its removal.
//!
//! A thing is written down before it is created, and struck out after it is removed. So whatever exists of a lab is in
//! its record, whenever its process was killed.

mod lock;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lock::Lock;
use record::Record;

use crate::name::LabName;
use crate::netns::NETNS_DIR;
use crate::process::{self, ProcessId};
use crate::{LabError, ip};

/// Where the records are: `<name>.json`, beside it the lock of the process that holds the lab, and the directory
/// `<name>.d` with the lab's files.
pub const STATE_DIR: &str = "/run/palomar-lab";

/// Where the lab's programs may pin BPF objects.
const BPF_DIR: &str = "/sys/fs/bpf";

/// The record of one lab, held by this process alone.
#[derive(Debug)]
pub(crate) struct Ledger {
    name: LabName,
    dir: PathBuf,
    held: Mutex<Option<Held>>,
}

/// What the holder of a lab has; gone once the lab is closed or kept.
#[derive(Debug)]
struct Held {
    record: Record,
    lock: Lock,
}

/// One lab that has a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabStatus {
    /// Its name.
    pub name: String,
    /// The process that holds it; `None` for one that was kept or whose process was killed.
    pub held_by: Option<u32>,
    /// Its network namespaces, created or about to be.
    pub namespaces: Vec<String>,
    /// The numbers of the processes that it started and that run.
    pub processes: Vec<u32>,
}

/// The labs that have a record, by name.
///
/// # Errors
/// When the records cannot be read.
pub fn list() -> Result<Vec<LabStatus>, LabError> {
    let dir = Path::new(STATE_DIR);
    let mut found = Vec::new();
    for name in record::names(dir)? {
        let Some(record) = Record::load(dir, &name)? else { continue };
        let held = Lock::is_held(dir, &name);
        found.push(LabStatus {
            name: name.to_string(),
            held_by: record.owner.filter(|_| held).map(|owner| owner.pid),
            processes: record.processes.iter().filter(|p| p.is_running()).map(|p| p.pid).collect(),
            namespaces: record.namespaces.into_iter().collect(),
        });
    }
    Ok(found)
}

/// Removes what is left of a lab whose process was killed or has kept it. Returns whether there was anything.
///
/// # Errors
/// When a living process holds the lab, or something could not be removed; the record then still names it.
pub fn down(name: &str) -> Result<bool, LabError> {
    let name: LabName = name.parse()?;
    if Record::load(Path::new(STATE_DIR), &name)?.is_none() {
        return Ok(false);
    }
    Ledger::open(name)?.close()?;
    Ok(true)
}

// === impl Ledger ===

impl Ledger {
    /// Takes the lab of this name, and removes what a former run has left of it.
    pub(crate) fn open(name: LabName) -> Result<Self, LabError> {
        let dir = PathBuf::from(STATE_DIR);
        fs::create_dir_all(&dir).map_err(LabError::io("create", STATE_DIR))?;
        let Some(lock) = Lock::take(&dir, &name)? else {
            let owner = Record::load(&dir, &name)?.and_then(|record| record.owner);
            return Err(LabError::InUse { name: name.to_string(), owner: owner.map(|owner| owner.pid) });
        };
        let record = Record::load(&dir, &name)?.unwrap_or_default();
        let ledger = Self { name, dir, held: Mutex::new(Some(Held { record, lock })) };
        ledger.remove_all()?;
        ledger.change(|record| {
            record.boot_id = record::boot_id();
            record.owner = ProcessId::running(std::process::id());
        })?;
        Ok(ledger)
    }

    pub(crate) fn name(&self) -> &LabName {
        &self.name
    }

    /// The directory for the lab's files; [`Self::create_dir`] creates it.
    pub(crate) fn files_dir(&self) -> PathBuf {
        self.dir.join(format!("{}.d", self.name))
    }

    /// The directory for what the lab's programs pin.
    pub(crate) fn bpf_dir(&self) -> PathBuf {
        Path::new(BPF_DIR).join(format!("plm-{}", self.name))
    }

    /// Writes namespaces down that are about to be created.
    pub(crate) fn add_namespaces<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), LabError> {
        self.change(|record| record.namespaces.extend(names.into_iter().map(str::to_owned)))
    }

    /// Strikes out a namespace that is gone. Nothing to do once the lab is closed.
    pub(crate) fn strike_namespace(&self, name: &str) -> Result<(), LabError> {
        self.strike(|record| {
            record.namespaces.remove(name);
        })
    }

    /// Writes down a process that waits to be let go.
    pub(crate) fn add_process(&self, process: ProcessId) -> Result<(), LabError> {
        self.change(|record| {
            record.processes.insert(process);
        })
    }

    /// Strikes out a process that has ended. Nothing to do once the lab is closed.
    pub(crate) fn strike_process(&self, process: ProcessId) -> Result<(), LabError> {
        self.strike(|record| {
            record.processes.remove(&process);
        })
    }

    /// Writes a directory down and creates it.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), LabError> {
        self.change(|record| {
            record.directories.insert(path.to_owned());
        })?;
        fs::create_dir_all(path).map_err(LabError::io("create", path.display().to_string()))
    }

    /// Removes everything, and the record itself. What cannot be removed stays in the record.
    pub(crate) fn close(&self) -> Result<(), LabError> {
        self.remove_all()?;
        let held = self.lock_held().take();
        let Some(Held { record: _, lock }) = held else { return Ok(()) };
        Record::delete(&self.dir, &self.name)?;
        lock.remove();
        Ok(())
    }

    /// Lets go of the lab and leaves it as it is, for [`down`] to remove.
    pub(crate) fn keep(&self) -> Result<(), LabError> {
        self.change(|record| record.owner = None)?;
        drop(self.lock_held().take());
        Ok(())
    }

    fn lock_held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), LabError> {
        match &mut *self.lock_held() {
            Some(held) => {
                change(&mut held.record);
                held.record.save(&self.dir, &self.name)
            }
            None => Err(LabError::Closed(self.name.to_string())),
        }
    }

    fn strike(&self, change: impl FnOnce(&mut Record)) -> Result<(), LabError> {
        match self.change(change) {
            Err(LabError::Closed(_)) => Ok(()),
            result => result,
        }
    }

    fn remove_all(&self) -> Result<(), LabError> {
        let mut held = self.lock_held();
        let Some(Held { record, lock: _ }) = &mut *held else { return Ok(()) };
        if record.is_empty() {
            return Ok(());
        }
        let mut left = Vec::new();
        // after a reboot the numbers belong to others
        let processes = if record.boot_id == record::boot_id() {
            record.processes.iter().copied().collect()
        } else {
            Vec::new()
        };
        record.processes = process::end_all(&processes).into_iter().collect();
        left.extend(record.processes.iter().map(|process| format!("process {} still runs", process.pid)));
        remove_namespaces(record, &mut left);
        let files_dir = self.files_dir();
        let bpf_dir = self.bpf_dir();
        record.directories.retain(|path| {
            if *path != files_dir && *path != bpf_dir {
                left.push(format!("{} is none of the lab's directories", path.display()));
                return true;
            }
            match fs::remove_dir_all(path) {
                Err(error) if path.exists() => left.push(format!("remove {}: {error}", path.display())),
                _ => return false,
            }
            true
        });
        record.save(&self.dir, &self.name)?;
        if left.is_empty() { Ok(()) } else { Err(LabError::Leftovers { name: self.name.to_string(), left }) }
    }
}

fn remove_namespaces(record: &mut Record, left: &mut Vec<String>) {
    let exists = |name: &str| Path::new(NETNS_DIR).join(name).exists();
    let lines: Vec<_> = record
        .namespaces
        .iter()
        .filter(|name| exists(name))
        .map(|name| format!("netns del {name}"))
        .collect();
    if ip::batch_on_host(&lines).is_err() {
        // the batch stopped at the first that failed: each on its own
        left.extend(
            lines.into_iter().filter_map(|line| ip::batch_on_host(&[line]).err()).map(|e| e.to_string()),
        );
    }
    record.namespaces.retain(|name| exists(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpf_and_file_directories_are_the_labs_own() {
        let dir = tempfile::tempdir().unwrap();
        let name: LabName = "labtdirs".parse().unwrap();
        let lock = Lock::take(dir.path(), &name).unwrap().unwrap();
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        let record = Record { directories: [foreign.clone()].into(), ..Record::default() };
        let ledger =
            Ledger { name, dir: dir.path().to_owned(), held: Mutex::new(Some(Held { record, lock })) };
        assert!(matches!(ledger.remove_all(), Err(LabError::Leftovers { .. })));
        assert!(foreign.exists(), "a directory that only the record claims to be ours was removed");
    }
}
