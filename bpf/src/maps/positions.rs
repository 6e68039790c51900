//! How far a ring buffer was written and read.
#![expect(
    unsafe_code,
    reason = "mmap of a ring buffer's positions, and atomic access to what the kernel writes meanwhile"
)]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::{SysconfVar, sysconf};

/// The two pages before a ring buffer's data, read-only: each begins with a position, in bytes since the ring was
/// made, which never goes back.
///
/// ```text
/// page 0: consumer position    page 1: producer position    page 2 and later: data
/// ```
#[derive(Debug)]
pub(super) struct Positions {
    pages: NonNull<libc::c_void>,
    page: usize,
    length: NonZeroUsize,
}

// SAFETY: the mapping is plain shared memory that any thread may reach; all access to it is atomic.
unsafe impl Send for Positions {}
// SAFETY: as above; it only reads.
unsafe impl Sync for Positions {}

impl Positions {
    pub(super) fn open(ring: &impl AsFd) -> io::Result<Self> {
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|page| usize::try_from(page).ok());
        let page = page.ok_or(io::ErrorKind::Unsupported)?;
        let length = NonZeroUsize::new(2 * page).ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let pages = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, ring, 0)? };
        Ok(Self { pages, page, length })
    }

    /// Bytes that were entered and not yet read.
    pub(super) fn unread_bytes(&self) -> usize {
        // the reader's position first: it never passes the programs'
        let read = self.at(0);
        self.at(self.page).wrapping_sub(read)
    }

    fn at(&self, offset: usize) -> usize {
        // SAFETY: the start of a page of the mapping, which lives as long as `self`, holds an aligned unsigned long.
        let position = unsafe { AtomicUsize::from_ptr(self.pages.byte_add(offset).as_ptr().cast()) };
        position.load(Ordering::Acquire)
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it outlives `self`.
        if let Err(error) = unsafe { munmap(self.pages, self.length.get()) } {
            tracing::warn!(%error, "cannot unmap a ring buffer's positions");
        }
    }
}
