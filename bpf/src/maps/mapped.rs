//! An array map whose memory is shared with the programs.
#![expect(unsafe_code, reason = "mmap of a BPF array, and atomic access to what the kernel reads meanwhile")]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A mapped array of entries of `ENTRY` bytes, a multiple of eight. The kernel lays them out without gaps.
#[derive(Debug)]
pub(super) struct Mapped<const ENTRY: usize> {
    memory: NonNull<libc::c_void>,
    length: NonZeroUsize,
}

// SAFETY: the mapping is plain shared memory that any thread may reach; all access to it is atomic.
unsafe impl<const ENTRY: usize> Send for Mapped<ENTRY> {}
// SAFETY: as above; no method hands out references.
unsafe impl<const ENTRY: usize> Sync for Mapped<ENTRY> {}

impl<const ENTRY: usize> Mapped<ENTRY> {
    /// Maps `entries` entries of an array that was made with `BPF_F_MMAPABLE`.
    pub(super) fn open(map: &impl AsFd, entries: u32) -> io::Result<Self> {
        const { assert!(ENTRY.is_multiple_of(8)) };
        let length = NonZeroUsize::new(ENTRY * entries as usize).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let memory = unsafe {
            mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, map, 0)?
        };
        Ok(Self { memory, length })
    }

    fn at(&self, entry: u32, offset: usize, size: usize) -> NonNull<libc::c_void> {
        let byte = entry as usize * ENTRY + offset;
        assert!(offset.is_multiple_of(size) && offset + size <= ENTRY && byte + size <= self.length.get());
        // SAFETY: the assertion keeps the result within the mapping.
        unsafe { self.memory.byte_add(byte) }
    }

    fn word(&self, entry: u32, offset: usize) -> &AtomicU64 {
        // SAFETY: `at` gives eight bytes of the mapping, aligned (page start, ENTRY and offset are multiples of
        // eight), which live as long as `self`; the programs store to aligned words only.
        unsafe { AtomicU64::from_ptr(self.at(entry, offset, 8).as_ptr().cast()) }
    }

    fn half(&self, entry: u32, offset: usize) -> &AtomicU32 {
        // SAFETY: as `word`, for four bytes.
        unsafe { AtomicU32::from_ptr(self.at(entry, offset, 4).as_ptr().cast()) }
    }

    pub(super) fn load_u64(&self, entry: u32, offset: usize) -> u64 {
        self.word(entry, offset).load(Ordering::Acquire)
    }

    pub(super) fn store_u64(&self, entry: u32, offset: usize, value: u64) {
        self.word(entry, offset).store(value, Ordering::Release);
    }

    /// Replaces `current` by `new`; fails with what is there instead.
    pub(super) fn exchange_u64(&self, entry: u32, offset: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.word(entry, offset).compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    pub(super) fn load_u32(&self, entry: u32, offset: usize) -> u32 {
        self.half(entry, offset).load(Ordering::Acquire)
    }

    pub(super) fn store_u32(&self, entry: u32, offset: usize, value: u32) {
        self.half(entry, offset).store(value, Ordering::Release);
    }
}

impl<const ENTRY: usize> Drop for Mapped<ENTRY> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it outlives `self`.
        if let Err(error) = unsafe { munmap(self.memory, self.length.get()) } {
            tracing::warn!(%error, "cannot unmap a BPF array");
        }
    }
}
