//! The control path: world, interfaces and identities become the directory, and what the kernel holds.

mod bindings;
mod facts;
mod run;
#[cfg(test)]
mod tests;
mod view;
mod wanted;

pub use bindings::Bindings;
pub use facts::{AttachState, EndpointFacts, Facts, SharedFacts};
pub use run::{Control, Signal, chain};
pub use wanted::EnforceScope;
