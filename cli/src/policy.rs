//! `palomar policy`: what policies allow, and why.
//!
//! | module | holds |
//! |---|---|
//! | `manifests` | a directory of manifests as one world |
//! | `basis` | manifests, or the objects of an agent and when they changed |
//! | `question` | the ends of a connection, from flags |
//! | `flow` | a flow as a question |
//! | `why` | why a flow was judged as it was, in a line |
//! | `uuid` | one flow of a server, with all reasons |
//! | `reason` | why one direction is as it is |
//! | `explain` | one question, with all reasons |
//! | `text`, `json` | an explanation for people, and for programs |
//! | `probes`, `probe_line` | many questions, one JSON line each |
//! | `expectations`, `junit` | what a team expects, and how it came out |
//! | `list` | what an agent enforces for each endpoint |
//! | `get`, `sheet` | the same for one pod; or one policy, and what became of it |
//! | `stdin` | what is read of it, once |
//! | `simulate` | recorded flows under changed policies |
//! | `exit` | exit codes beside 0 and 1 |

mod basis;
mod evidence;
mod exit;
mod expectations;
mod explain;
mod flow;
mod get;
mod json;
mod junit;
mod list;
mod manifests;
mod probe_line;
mod probes;
mod question;
mod reason;
mod sheet;
mod simulate;
mod stdin;
mod text;
mod uuid;
mod why;

use anyhow::Result;

use crate::arguments::Parsed;
use crate::connection::Connection;
use crate::surroundings::Surroundings;

pub(crate) use basis::Basis;
pub use exit::NotAsWanted;
pub use get::get;
pub use list::list;
pub use manifests::{LoadError, Manifests};
pub use probes::answer_all;
pub use simulate::run as simulate;
pub(crate) use why::{Why, time as time_of};

/// Names that policies are known by, in lower case.
const KINDS: [&str; 4] = ["networkpolicy", "networkpolicies", "netpol", "networkpolicies.networking.k8s.io"];

/// `policy explain`.
pub async fn explain(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let given = &parsed.given;
    stdin::taken_once(given, &["manifests", "probes"], None)?;
    if let Some(uuid) = given.text("uuid") {
        return uuid::run(given, uuid, connection, surroundings).await;
    }
    // What is wrong with the question is told before anybody is asked.
    if let Some(file) = given.text("probes") {
        probes::check(given)?;
        let Basis { manifests, history: _ } = Basis::of(given, connection, surroundings).await?;
        return probes::run(&manifests, file, surroundings);
    }
    let question = explain::asked(given)?;
    let Basis { manifests, history: _ } = Basis::of(given, connection, surroundings).await?;
    explain::run(given, &question, &manifests, surroundings)
}

/// `policy test`.
pub fn test(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    expectations::run(parsed, surroundings)
}
