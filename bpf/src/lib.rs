//! Palomar's kernel side: the BPF programs, their loader, and the ABI shared with user space.
//!
//! ```text
//! Datapath::load ── maps: Maps        endpoints, settings, addresses, cidrs, node_ports, rules, connections, limits, counters
//!                ├─ attacher: Attacher  puts the two programs on interfaces
//!                └─ events: EventReader what the programs tell
//! ForeignDrops::start                 optional: tells through the same maps what others in the kernel drop
//! ```
//!
//! Unsafe code lives in four files: `sys/attr.rs` (the bpf system call), `sys/memory.rs` (the allocator), `maps/mapped.rs`
//! and `maps/positions.rs` (shared memory).

pub mod abi;
mod attach;
mod capability;
mod kernel_types;
mod load;
mod maps;
pub mod netlink;
mod object;
mod pins;
mod sys;

pub use attach::{
    AttachError, Attached, Attacher, CleanError, Hook, Hooks, Order, TestRun, clean, panic_audit,
};
pub use capability::{Capability, missing as missing_capabilities};
pub use load::{
    Adoption, Datapath, ForeignDrops, ForeignDropsError, InvalidRingBytes, LayoutChange, LoadError, Options,
    RingBytes,
};
pub use maps::{
    Addresses, Cidrs, Connections, Counters, Endpoints, Entries, EventReader, Limits, MapError, MapMemory,
    Maps, Rules, SettingsMap, Table, Walk,
};
pub use object::{Constant, ObjectError, pod as pod_object};
pub use pins::{PinError, Pins};
