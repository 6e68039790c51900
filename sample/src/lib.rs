//! An imaginary cluster and what its packets look like: flows of realistic shape for benches, tests and the load server.
//!
//! Nothing here is product code, and nothing here is random: the same seed gives the same cluster and the same flows in
//! the same order, on every machine.
//!
//! ```
//! use palomar_sample::{Cluster, Traffic};
//!
//! let mut traffic = Traffic::new(Cluster::new(1), 1);
//! let flow = traffic.next_flow(1_767_225_600_000_000_000);
//! assert_eq!(flow.time_ns, 1_767_225_600_000_000_000);
//! ```

#![forbid(unsafe_code)]

mod cluster;
mod connection;
mod party;
mod plot;
mod random;
mod traffic;

pub use cluster::{Cluster, Outside, Pod, Service};
pub use traffic::Traffic;
