//! The control path: world, interfaces and identities become the directory, and what the kernel holds.

mod bindings;
mod changes;
mod facts;
mod history;
#[cfg(test)]
mod report_tests;
mod reporter;
mod run;
#[cfg(test)]
mod tests;
mod view;
mod wanted;

pub use bindings::Bindings;
pub use facts::{AttachState, EndpointFacts, Facts, SharedFacts};
pub use history::{Held, History, SETTLE_NS};
pub use reporter::Reporter;
pub use run::{Control, Signal, chain};
pub use wanted::EnforceScope;
