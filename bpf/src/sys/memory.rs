//! Memory that is not needed any more.
#![expect(unsafe_code, reason = "the C library's call has no safe wrapper")]

/// Gives freed memory back to the system: the kernel's types take tens of megabytes for a moment, which the allocator would
/// keep.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and moves nothing that is in use; it may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
