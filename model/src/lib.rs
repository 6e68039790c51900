//! The vocabulary that every part of Palomar speaks: labels, identities, addresses, policies, the cluster's
//! objects, verdicts and the flow itself.
//!
//! Pure values: no I/O, no clock, no async, no protobuf. What two crates share lives here.

#![forbid(unsafe_code)]

pub mod attribution;
pub mod drop_reason;
pub mod endpoint_slice;
pub mod flow;
pub mod identity;
pub mod kernel_drop;
pub mod labels;
pub mod netpol;
pub mod object;
pub mod packet;
pub mod ports;
pub mod selector;
pub mod shared_map;
pub mod verdict;
pub mod world;
