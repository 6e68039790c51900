//! Taking away what is ours, and nothing else; without the programs, from the pins alone.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{AttachError, clsact};
use crate::abi::{Direction, Mode};
use crate::maps::{MapError, SettingsMap};
use crate::pins::{self, PinError, Pins};
use crate::sys::{self, link};

/// Why what is ours could not be removed, or not be set to audit.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// A pin could not be used or removed.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// An interface could not be detached; the others are.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The settings could not be opened.
    #[error(transparent)]
    Map(#[from] MapError),
    /// No datapath is pinned there.
    #[error("no datapath is pinned under {}", path.display())]
    Absent {
        /// The folder that was asked for.
        path: std::path::PathBuf,
    },
}

/// Detaches every interface and removes every pin of the instance at `root`. Gives the interfaces that were attached;
/// an instance that is not there has none. Run in the instance's network namespace.
pub fn clean(root: &Path) -> Result<BTreeSet<u32>, CleanError> {
    let Some(pins) = Pins::existing(root)? else { return Ok(BTreeSet::new()) };
    let ours: BTreeSet<u32> = pins.pinned_programs().into_iter().map(|(id, _)| id).collect();
    let mut interfaces: BTreeSet<u32> =
        pins.pinned_links().into_iter().map(|(ifindex, ..)| ifindex).collect();
    interfaces.extend(pins.clsact_interfaces());
    interfaces.extend(pins.qdisc_interfaces());
    let mut failure = None;
    for ifindex in &interfaces {
        let removed = tcx_links(&pins, *ifindex).and_then(|()| clsact_filters(&pins, *ifindex, &ours));
        if let Err(error) = removed {
            failure.get_or_insert(error);
        }
    }
    if let Some(error) = failure {
        // The pins stay: without them nobody could tell what is ours.
        return Err(error.into());
    }
    for folder in pins.other_abis().into_iter().chain([pins.maps(), pins.programs(), pins.links()]) {
        pins::remove_pins(&folder)?;
    }
    pins::remove_folder(&pins.clsact())?;
    pins::remove_folder(pins.root())?;
    Ok(interfaces)
}

/// Sets the pinned datapath at `root` to audit, whether or not an agent runs: denied packets pass from the next one on.
/// Gives `false` where it audits already.
pub fn panic_audit(root: &Path) -> Result<bool, CleanError> {
    let absent = || CleanError::Absent { path: root.to_owned() };
    let pins = Pins::existing(root)?.ok_or_else(absent)?;
    let map = pins.open_map("settings")?.ok_or_else(absent)?;
    Ok(SettingsMap::open(&map)?.set_mode(Mode::Audit))
}

/// Detaches the pinned tcx links of an interface and removes their pins.
pub(super) fn tcx_links(pins: &Pins, ifindex: u32) -> Result<(), AttachError> {
    for direction in Direction::ALL {
        let path = pins.link(ifindex, *direction);
        let link = match sys::object::open(&path) {
            Ok(link) => link,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(PinError::io("open", &path)(error).into()),
        };
        match link::detach(&link) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
            Err(error) => return Err(AttachError::kernel(ifindex, "detach a tcx program")(error)),
        }
        pins::remove_file(&path)?;
    }
    Ok(())
}

/// Removes our filters of an interface, its qdisc if it is ours and unused, and their marks.
pub(super) fn clsact_filters(pins: &Pins, ifindex: u32, ours: &BTreeSet<u32>) -> Result<(), AttachError> {
    let (mark, qdisc_mark) = (pins.clsact_mark(ifindex), pins.qdisc_mark(ifindex));
    if !mark.exists() && !qdisc_mark.exists() {
        return Ok(());
    }
    match clsact::remove(ifindex, ours, mark.exists() && qdisc_mark.exists()) {
        Ok(()) | Err(AttachError::Gone { .. }) => {}
        Err(error) => return Err(error),
    }
    pins::remove_folder(&mark)?;
    pins::remove_folder(&qdisc_mark)?;
    Ok(())
}
