//! tcx links: they live with their interface, and their program can be swapped in place.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::AttachError;
use crate::abi::Direction;
use crate::pins::{self, PinError};
use crate::sys::{self, link};

/// Whether the kernel has tcx: asks for the order at the loopback interface, which has index 1 in every namespace.
pub(super) fn supported() -> bool {
    link::order(1, Direction::Egress).is_ok()
}

/// Attaches first in order; the attachment ends with the last copy of the descriptor.
pub(super) fn attach(program: &OwnedFd, ifindex: u32, direction: Direction) -> Result<OwnedFd, AttachError> {
    link::create_first(program, ifindex, direction)
        .map_err(AttachError::kernel(ifindex, "attach a tcx program"))
}

/// Swaps the program of a link; `false` where its interface is gone, and another one may have got its index.
pub(super) fn swap(link: &OwnedFd, program: &OwnedFd, ifindex: u32) -> Result<bool, AttachError> {
    match link::update(link, program) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(false),
        Err(error) => Err(AttachError::kernel(ifindex, "swap a tcx program")(error)),
    }
}

/// Swaps the program of the link that is pinned at `pin`, or attaches and pins there; `true` where it was swapped.
pub(super) fn attach_pinned(
    program: &OwnedFd,
    ifindex: u32,
    direction: Direction,
    pin: &Path,
) -> Result<bool, AttachError> {
    match sys::object::open(pin) {
        Ok(old) if swap(&old, program, ifindex)? => return Ok(true),
        Ok(_) => pins::remove_file(pin)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(PinError::io("open", pin)(error).into()),
    }
    let link = attach(program, ifindex, direction)?;
    sys::object::pin(&link, pin).map_err(PinError::io("pin", pin))?;
    Ok(false)
}

/// The tcx programs of a hook in order; none where the kernel has no tcx.
pub(super) fn order(ifindex: u32, direction: Direction) -> Result<Vec<u32>, AttachError> {
    match link::order(ifindex, direction) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Vec::new()),
        other => other.map_err(AttachError::kernel(ifindex, "list tcx programs")),
    }
}
