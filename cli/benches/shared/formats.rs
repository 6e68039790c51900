//! The output formats of `observe`, for the benches that print.

/// Each, as it is asked for.
pub const FORMATS: [&str; 4] = ["compact", "dict", "table", "jsonpb"];
