//! Connections of a small node: entries in, lines out.

pub mod fixture;
mod joining;
mod listing;
mod naming;
