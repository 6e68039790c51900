//! Gives events their names: who was at both ends, which service, which policies decided.
//!
//! The kernel says which identity each end had when the packet passed; that stands. The pod is looked up by address
//! and taken only if it has that identity, so that a pod which got a used address is never given what its
//! predecessor did.

mod attributions;
mod departures;
mod ends;
mod enricher;
mod foreign;
mod hits;
mod known;
mod namespaces;
mod node_ports;
mod owners;
mod thread;
mod watched;

#[cfg(test)]
mod departure_tests;
#[cfg(test)]
mod known_tests;
#[cfg(test)]
mod tests;

pub use attributions::{Attribution, Attributions, Decision};
pub use departures::News;
pub use ends::{End, Ends, LocalEnd};
pub use enricher::{Enriched, Enricher, Sources};
pub use foreign::KernelWords;
pub use hits::{DirectionHits, Hits};
pub use namespaces::{NamespaceKey, NamespaceWriter, SeenNamespaces};
pub use owners::Owners;
pub use thread::{EnrichThread, spawn};
pub use watched::Watched;
