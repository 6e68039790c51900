//! The API over a ring that the test fills.

mod calls;
mod fixture;
mod following;
mod losses;
mod oracle;
