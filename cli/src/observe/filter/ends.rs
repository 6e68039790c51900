//! The ends of a flow that a flag speaks of.

/// Source, destination, or either of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// One or the other: `--pod`.
    Either,
    /// The source: `--from-pod`.
    Source,
    /// The destination: `--to-pod`.
    Destination,
}

/// What a flag speaks of and of which ends: `from-pod` is `pod` of the source.
pub fn split(flag: &str) -> (Ends, &str) {
    if let Some(what) = flag.strip_prefix("from-") {
        (Ends::Source, what)
    } else if let Some(what) = flag.strip_prefix("to-") {
        (Ends::Destination, what)
    } else {
        (Ends::Either, flag)
    }
}
