//! A flow as a question to policies: which end began its connection, and who the ends are.

pub mod ends;
pub mod opening;
