//! palomar-agent: the per-node flow observer, as a library. The binary is a thin front.
//!
//! Data moves one way, and a module uses only modules of lower rank (`tests/layers.rs` has the ranks, and checks it):
//!
//! ```text
//! kernel event → source → decode → enrich → ring → filter → gRPC → render
//!                (bpf ringbuf)      (directory)  (recent flows)
//! cluster source → world, identity, links → directory → policy::compile → enforce → kernel maps
//! ```

#![forbid(unsafe_code)]

pub mod app;
pub mod check;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connections;
pub mod control;
pub mod decode;
pub mod directory;
pub mod door;
pub mod durable;
pub mod enforce;
pub mod enrich;
pub mod events;
pub mod identity;
pub mod instance;
pub mod kernel;
pub mod links;
pub mod losses;
pub mod metrics;
pub mod ring;
pub mod server;
pub mod source;
pub mod tell;
pub mod world;
