//! What the agent did of late: its start, policies, endpoints and addresses as they come and go.
//!
//! The control path tells them, the API reads them. They are few and are kept in memory alone, apart from the flows, so
//! that neither pushes out the other.

mod event;
mod log;

pub use event::{AddressEvent, AgentEvent, EndpointEvent, PolicyEvent, Regeneration};
pub use log::{AgentEvents, Batch, CAPACITY, Told};
