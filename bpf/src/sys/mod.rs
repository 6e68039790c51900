//! System calls on BPF objects, safe to call. `attr` holds the only unsafe code of them.

mod attr;
pub(crate) mod link;
pub(crate) mod map;
pub(crate) mod memory;
pub(crate) mod object;
pub(crate) mod program;
