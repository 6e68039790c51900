//! Counters of flows against a count that reads each flow's message as Hubble does.

mod fixture;
mod follower;
mod golden;
mod oracle;
mod property;
mod removal;
