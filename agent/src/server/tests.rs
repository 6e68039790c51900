//! The API over a ring that the test fills.

mod agent_events;
mod calls;
mod cel;
mod connections;
mod crowd;
pub(crate) mod fixture;
mod following;
mod losses;
mod objects;
mod oracle;
mod peer;
