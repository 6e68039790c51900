//! `palomar policy`: what policies allow, and why.
//!
//! | module | holds |
//! |---|---|
//! | `manifests` | a directory of manifests as one world |
//! | `question` | the ends of a connection, from flags |
//! | `explain` | one question, with all reasons |
//! | `text`, `json` | an explanation for people, and for programs |
//! | `probes` | many questions, one JSON line each |
//! | `expectations`, `junit` | what a team expects, and how it came out |
//! | `simulate` | recorded flows under changed policies |
//! | `exit` | exit codes beside 0 and 1 |

mod exit;
mod expectations;
mod explain;
mod json;
mod junit;
mod manifests;
mod probes;
mod question;
mod simulate;
mod text;

use anyhow::Result;

use crate::arguments::Parsed;
use crate::surroundings::Surroundings;

pub use exit::NotAsWanted;
pub use manifests::{LoadError, Manifests};
pub use probes::answer_all;
pub use simulate::run as simulate;

/// `policy explain`.
pub fn explain(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let manifests = manifests::from_flags(&parsed.given)?;
    match parsed.given.text("probes") {
        Some(file) => probes::run(&parsed.given, &manifests, file, surroundings),
        None => explain::run(&parsed.given, &manifests, surroundings),
    }
}

/// `policy test`.
pub fn test(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    expectations::run(parsed, surroundings)
}
