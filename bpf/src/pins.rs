//! Where everything of an instance is pinned on bpffs:
//!
//! ```text
//! <root>/v<ABI>/<map>                    maps, shared by every generation of programs
//! <root>/programs/<name>-<id>            programs; ids tell our tc filters from others'
//! <root>/links/<ifindex>-<hook>          tcx links; hook: ingress or egress of the interface
//! <root>/clsact/<ifindex>                (folder) our tc filters are on this interface
//! <root>/clsact/<ifindex>-qdisc          (folder) its clsact qdisc is ours as well
//! ```
//!
//! bpffs takes no dots in names and no regular files; folders are the only marks it can hold.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::abi::{ABI_VERSION, Direction};
use crate::sys;

/// The pins of one instance.
#[derive(Debug, Clone)]
pub struct Pins {
    root: PathBuf,
}

/// Why pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The folder is on another file system.
    #[error("{} is not on bpffs; mount it with: mount -t bpf bpf /sys/fs/bpf", path.display())]
    NotBpffs {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// A pin or its folder could not be made, read or removed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl PinError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

// === impl Pins ===

impl Pins {
    /// Uses `root`, which must be on bpffs; makes its folders where they are absent.
    pub fn create(root: &Path) -> Result<Self, PinError> {
        require_bpffs(root)?;
        let pins = Self { root: root.to_owned() };
        for folder in [pins.programs(), pins.links(), pins.clsact()] {
            create_folder(&folder)?;
        }
        Ok(pins)
    }

    /// Uses `root` as it is; `None` where nothing was ever pinned there.
    pub fn existing(root: &Path) -> Result<Option<Self>, PinError> {
        require_bpffs(root)?;
        Ok(root.is_dir().then(|| Self { root: root.to_owned() }))
    }

    /// The folder of this instance.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn maps(&self) -> PathBuf {
        self.root.join(format!("v{ABI_VERSION}"))
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    pub(crate) fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    pub(crate) fn clsact(&self) -> PathBuf {
        self.root.join("clsact")
    }

    pub(crate) fn link(&self, ifindex: u32, direction: Direction) -> PathBuf {
        self.links().join(format!("{ifindex}-{}", hook_name(direction)))
    }

    pub(crate) fn clsact_mark(&self, ifindex: u32) -> PathBuf {
        self.clsact().join(ifindex.to_string())
    }

    pub(crate) fn qdisc_mark(&self, ifindex: u32) -> PathBuf {
        self.clsact().join(format!("{ifindex}-qdisc"))
    }

    /// Folders of maps of other ABI versions.
    pub(crate) fn other_abis(&self) -> Vec<PathBuf> {
        let current = self.maps();
        let is_abi = |name: &str| name.strip_prefix('v').is_some_and(|digits| digits.parse::<u32>().is_ok());
        entries(&self.root)
            .into_iter()
            .filter(|(name, path)| is_abi(name) && *path != current)
            .map(|(_, path)| path)
            .collect()
    }

    /// Interfaces that have a pinned tcx link of ours, each with its direction and pin.
    pub(crate) fn pinned_links(&self) -> Vec<(u32, Direction, PathBuf)> {
        let parse = |(name, path): (String, PathBuf)| {
            let (ifindex, hook) = name.split_once('-')?;
            let direction = Direction::ALL.iter().copied().find(|direction| hook_name(*direction) == hook)?;
            Some((ifindex.parse().ok()?, direction, path))
        };
        entries(&self.links()).into_iter().filter_map(parse).collect()
    }

    /// Interfaces that carry our tc filters.
    pub(crate) fn clsact_interfaces(&self) -> Vec<u32> {
        entries(&self.clsact()).into_iter().filter_map(|(name, _)| name.parse().ok()).collect()
    }

    /// Interfaces whose clsact qdisc we made.
    pub(crate) fn qdisc_interfaces(&self) -> Vec<u32> {
        entries(&self.clsact())
            .into_iter()
            .filter_map(|(name, _)| name.strip_suffix("-qdisc")?.parse().ok())
            .collect()
    }

    /// Programs pinned by any generation that was not removed, by kernel id.
    pub(crate) fn pinned_programs(&self) -> Vec<(u32, PathBuf)> {
        entries(&self.programs())
            .into_iter()
            .filter_map(|(_, path)| Some((sys::program::id(&sys::object::open(&path).ok()?).ok()?, path)))
            .collect()
    }

    /// Opens a map; `None` where it is not pinned.
    pub(crate) fn open_map(&self, name: &str) -> Result<Option<OwnedFd>, PinError> {
        let path = self.maps().join(name);
        match sys::object::open(&path) {
            Ok(map) => Ok(Some(map)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PinError::io("open", &path)(error)),
        }
    }
}

/// Our name of the hook, as `tc` says it: what is egress for the pod is ingress at the host's end.
fn hook_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "ingress",
        Direction::Ingress => "egress",
    }
}

/// Makes a mark or a folder, with its parents; one that is there already is fine.
pub(crate) fn create_folder(path: &Path) -> Result<(), PinError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(PinError::io("create", path))
}

/// Removes a pin; an absent one is fine.
pub(crate) fn remove_file(path: &Path) -> Result<(), PinError> {
    absent_is_fine(fs::remove_file(path)).map_err(PinError::io("remove", path))
}

/// Removes an empty folder; an absent one is fine.
pub(crate) fn remove_folder(path: &Path) -> Result<(), PinError> {
    absent_is_fine(fs::remove_dir(path)).map_err(PinError::io("remove", path))
}

/// Removes a folder of pins; an absent one is fine.
pub(crate) fn remove_pins(folder: &Path) -> Result<(), PinError> {
    for (_, path) in entries(folder) {
        remove_file(&path)?;
    }
    remove_folder(folder)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What a folder holds, by name; nothing where there is no folder.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| Some((name_of(&path)?, path)))
        .collect()
}

fn name_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

/// The path, or the nearest of its parents that exists, must be on bpffs.
fn require_bpffs(path: &Path) -> Result<(), PinError> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    let status = statfs(existing).map_err(|error| PinError::io("look at", existing)(error.into()))?;
    if status.filesystem_type() == BPF_FS_MAGIC {
        return Ok(());
    }
    Err(PinError::NotBpffs { path: path.to_owned() })
}
