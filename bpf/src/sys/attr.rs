//! The one door to the `bpf` system call.
//!
//! Attributes are written by offset, as they stand in `union bpf_attr` of the kernel's `include/uapi/linux/bpf.h`. The
//! other files of `sys` are the only users, and each keeps the promise that makes the call sound: a length that it
//! writes never exceeds the buffer that it lends.
#![expect(
    unsafe_code,
    reason = "the bpf system call, and taking ownership of the descriptors that it returns"
)]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use aya_obj::generated::bpf_cmd;

/// `sizeof(union bpf_attr)` that we know, in words. Kernels with a smaller union accept the zeroes after it, newer ones
/// read what is missing as zero.
const WORDS: usize = 18;

/// Arguments of one call; holds the borrows of what it points at until the call is done.
pub(super) struct Attr<'a> {
    bytes: [u8; WORDS * 8],
    lent: PhantomData<&'a mut [u8]>,
}

impl<'a> Attr<'a> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; WORDS * 8], lent: PhantomData }
    }

    pub(super) fn u32(mut self, offset: usize, value: u32) -> Self {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn u64(mut self, offset: usize, value: u64) -> Self {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn fd(self, offset: usize, fd: &impl AsFd) -> Self {
        let raw =
            u32::try_from(fd.as_fd().as_raw_fd()).expect("invariant: an open descriptor is not negative");
        self.u32(offset, raw)
    }

    /// A length or count; the kernel's are 32 bits.
    pub(super) fn length(self, offset: usize, length: usize) -> Self {
        self.u32(offset, u32::try_from(length).expect("invariant: buffers for the kernel stay below 4 GiB"))
    }

    /// A name field of 16 bytes, cut to 15 and ended by a zero.
    pub(super) fn name(mut self, offset: usize, name: &str) -> Self {
        let kept = &name.as_bytes()[..name.len().min(15)];
        self.bytes[offset..offset + kept.len()].copy_from_slice(kept);
        self
    }

    /// A pointer to bytes that the kernel reads.
    pub(super) fn input(self, offset: usize, bytes: &'a [u8]) -> Self {
        self.u64(offset, bytes.as_ptr() as u64)
    }

    /// A pointer to bytes that the kernel writes.
    pub(super) fn output(self, offset: usize, bytes: &'a mut [u8]) -> Self {
        self.u64(offset, bytes.as_mut_ptr() as u64)
    }

    /// A field that the kernel wrote back.
    pub(super) fn get_u32(&self, offset: usize) -> u32 {
        let mut value = [0; 4];
        value.copy_from_slice(&self.bytes[offset..offset + 4]);
        u32::from_ne_bytes(value)
    }

    /// Runs the command; gives what the call returned.
    pub(super) fn call(&mut self, command: bpf_cmd) -> io::Result<i64> {
        // SAFETY: `bytes` is a whole `union bpf_attr` that lives through the call, and every pointer in it is one that
        // `input` or `output` took from a borrow that `'a` keeps alive; the lengths are the promise of this module.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, command as libc::c_long, self.bytes.as_mut_ptr(), self.bytes.len())
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// Runs a command that returns a new descriptor.
    pub(super) fn call_fd(mut self, command: bpf_cmd) -> io::Result<OwnedFd> {
        let fd = i32::try_from(self.call(command)?)
            .map_err(|_| io::Error::other(format!("{command:?} returned no descriptor")))?;
        // SAFETY: the callers pass commands that return a descriptor which nobody else has.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}
