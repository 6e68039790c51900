//! Exit codes beside 0 (done) and 1 (not done).

/// The command did its work, and what it found is not what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAsWanted(pub String);

impl NotAsWanted {
    /// Its exit code.
    pub const CODE: u8 = 3;
}
