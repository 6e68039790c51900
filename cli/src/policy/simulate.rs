//! `policy simulate`: which recorded flows would have another verdict under changed policies.
//!
//! Nothing is guessed. A flow is judged where it tells which end began its connection, so that both the first packet of
//! a connection and the later ones of the end that began it count: an agent judges a standing connection again when
//! policies change. Replies say nothing of their own. Everything else is counted with the fact that is missing.
//!
//! | module | holds |
//! |---|---|
//! | `change` | the policies that are changed, from flags |
//! | `choice` | which flows are replayed |
//! | `replay` | the judge: each distinct question once |
//! | `read` | flows of files and of a server |
//! | `report` | what came out, for people and for programs |

mod change;
mod choice;
mod read;
mod replay;
mod report;

use anyhow::{Result, bail};
use palomar_policy::explain::Index;

use super::basis::Basis;
use super::exit::NotAsWanted;
use super::manifests::{self, counted};
use super::stdin;
use crate::arguments::Parsed;
use crate::connection::Connection;
use crate::observe::Filters;
use crate::palomar_api::print_json;
use crate::surroundings::Surroundings;
use choice::Choice;
use replay::Replay;

/// `policy simulate`: over files, if any is named, else over what the server remembers. Ends with [`NotAsWanted`] if
/// something that is allowed would be denied.
pub async fn run(
    parsed: &Parsed,
    filters: Filters,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let given = &parsed.given;
    let output = given.text("output").unwrap_or("text");
    if !["text", "json"].contains(&output) {
        bail!("unknown output format: {output}; choose from: text, json");
    }
    let choice = Choice::from_flags(given, filters, surroundings.now)?;
    let files: Vec<String> = given.all("input-file").map(|entry| entry.value.clone()).collect();
    stdin::taken_once(given, &["manifests", "file", "input-file"], None)?;
    change::check(given)?;
    let manifests = if files.is_empty() {
        Basis::of(given, connection, surroundings).await?.manifests
    } else {
        let manifests = manifests::from_flags(given, &mut *surroundings.input)?;
        manifests.warn_of_overlooked(&mut *surroundings.err)?;
        manifests
    };
    let changed = change::from_flags(given, &manifests, &mut *surroundings.input)?;
    let after = Index::new(&changed.world).masquerading(manifests.masquerade);
    let before = manifests.index();
    let mut replay = Replay::new(&before, &after);
    if files.is_empty() {
        read::server(connection, &choice, &mut replay, surroundings).await?;
    } else if connection.is_forwarded() {
        bail!("cannot use --input-file and --auto-port-forward together");
    } else {
        read::files(&files, &choice, &mut replay, surroundings)?;
    }
    let outcome = replay.finish();
    let places = report::Places { before: &manifests, after: &changed.manifests };
    match output {
        "json" => print_json(&report::json(&outcome, &places), surroundings)?,
        _ => surroundings.out.write_all(report::text(&outcome, &places).as_bytes())?,
    }
    if outcome.judged() == 0 {
        let note = "note: no flow was judged, so this shows nothing: are there any that began a connection, and that the filters \
                    let through?";
        writeln!(surroundings.err, "{note}")?;
    }
    let denied = outcome.newly_denied();
    if denied > 0 {
        bail!(NotAsWanted(format!("{} allowed now would be denied", counted_flows(denied))));
    }
    if outcome.unreadable > 0 {
        bail!("{} of the input could not be read, and may hold flows that would be denied", {
            counted(usize::try_from(outcome.unreadable).unwrap_or(usize::MAX), "line")
        });
    }
    Ok(())
}

/// `1 flow`, `2 flows`
fn counted_flows(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "flow")
}
