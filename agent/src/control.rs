//! The control path: world, interfaces and identities become the directory, and what the kernel holds.

mod bindings;
mod changes;
mod claims;
mod facts;
#[cfg(test)]
mod follow_tests;
mod history;
#[cfg(test)]
mod report_tests;
mod reporter;
mod run;
mod service_targets;
mod steps;
#[cfg(test)]
mod tests;
mod view;
mod wanted;

pub use facts::{AttachState, EndpointFacts, Facts, SharedFacts};
pub use history::{Held, History, SETTLE_NS};
pub use reporter::Reporter;
pub use run::{Control, Follows, Signal, chain};
pub use steps::Steps;
pub use wanted::EnforceScope;
