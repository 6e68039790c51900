//! The ring in a file, so that the memory outlives the agent that stops cleanly.
//!
//! # The file, version 1
//!
//! Numbers of fixed width are little-endian. A *varint* holds 7 bits a byte, the lowest first, with the top bit set
//! in all bytes but the last; a *signed* varint holds `(n << 1) ^ (n >> 63)`. A *text* is its length in bytes as a
//! varint, and UTF-8. A *list* is its length as a varint, and its parts.
//!
//! ```text
//! file     = "PALOMARF" version:u32 section…                    (version 1)
//! section  = kind:u8 length:u32 checksum:u32 payload            (CRC-32 of kind, length and payload)
//!
//! 'A' about: first section, one
//!     agent:text until_ns:i64 written_monotonic_ns:u64 oldest_ns:i64 flows:u64 next:u64 keys:6×u64 run:u64
//!     losses:list of (source:text count:varint first_ns:i64 last_ns:i64)
//!     gaps:list of (cause:u8 first_ns:i64 last_ns:i64 known:u8 flows:varint)
//! 'F' flows: any number, the newest flows first
//!     end:u64 count:u32
//!     label sets:list of list of (source:u8 key:text value:text)
//!     endpoints:list of (id:varint identity:varint label set:varint cluster:text has:u8
//!                        [pod namespace:text name:text] [workload name:text kind:text])
//!     services:list of (namespace:text name:text)
//!     interfaces:list of (index:varint name:text)
//!     policies:list of list of (kind:u8 namespace:text name:text)
//!     rests:list of (bit 0 instead of the flow, bit 1 has a node:u8 node name:text fields:length and bytes)
//!     flow…: see `record.rs`
//! 'E' end: last section, one
//!     flows:u64
//! ```
//!
//! - **The newest first.** A reader takes sections from the front until the ring is full or something is wrong: what it
//!   has by then is the newest flows, without a hole. So a damaged or truncated file costs the older flows, a smaller
//!   ring reads no more than it holds, and a disk that is too slow for the stop costs the oldest flows alone.
//! - **A section of flows is understood by itself**: it has the names that its flows use, and nothing of the ring's
//!   own numbers or layout. It ends after [`chunk::MAX_FLOWS`] flows or about [`chunk::FULL_BYTES`], so neither side
//!   holds more than one in memory, and a ring is never copied as a whole.
//! - **Nothing is believed before it is checked.** A length is held against [`section::MAX_BYTES`] and against what is
//!   left of the file before memory is taken; a section's checksum is checked before it is read, and that it follows
//!   the section before it (`end` is the number of its newest flow plus one). A section whose checksum holds and that
//!   makes no sense was not written by an agent: then nothing of the file is believed.
//! - **Numbers of flows go on.** `next` is that of the flow after the newest, and with `keys` and `run` gives all their
//!   UUIDs ([`super::FlowUuids`]): UUIDs printed before a clean restart lead to the same flows after it.
//! - **Another version is not read.** The version is raised by any change of layout or meaning. The file is set
//!   aside, not deleted, so that it is there for whoever goes back.
//!
//! What it costs is in `benches/saved`: 32 bytes a flow of a realistic cluster, and for 4,194,303 flows 0.3 s of processor
//! time to save and 0.7 s to restore. So little was left to gain that compression was left out.
//!
//! # The files in the state directory
//!
//! See [`files`]: which of them is believed, and what a crash leaves.

mod about;
mod bytes;
mod chunk;
pub mod files;
mod names;
mod read;
mod record;
mod section;
mod write;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
