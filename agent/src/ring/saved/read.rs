//! From a file to a ring.

use std::io::{self, Read, Seek};
use std::sync::Arc;

use super::about::About;
use super::bytes::{Malformed, Take};
use super::chunk::{self, Span};
use super::names::Shared;
use super::section::{Broken, Kind, Place, Sections};
use crate::losses::{Gap, GapCause, Loss};
use crate::ring::{Capacity, FlowUuids, Ring, Writer};

/// A ring as it was saved: whole, or its newest flows.
#[derive(Debug)]
pub struct Restored {
    pub writer: Writer,
    pub ring: Arc<Ring>,
    /// How many flows were put into the ring; of more than its capacity the newest stay.
    pub flows: u64,
    /// The version of the agent that wrote the file.
    pub agent: String,
    /// Up to when that agent took events out of the kernel.
    pub until_ns: i64,
    /// When it wrote the file, in nanoseconds of `CLOCK_MONOTONIC`.
    pub written_monotonic_ns: u64,
    pub losses: Vec<Loss>,
    /// Those of the file, and one for flows that it should have and has not.
    pub gaps: Vec<Gap>,
    /// What is wrong with the file; `None` if it is whole, as far as it was read.
    pub damage: Option<Damage>,
}

/// Why a file is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// A section cannot be had.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A section is not where it should be.
    #[error("its sections are not in order")]
    Order,
    /// The first section makes no sense.
    #[error("its first section makes no sense: {0}")]
    About(#[source] Malformed),
    /// A section of flows makes no sense.
    #[error("a section of flows makes no sense: {0}")]
    Flows(#[source] Malformed),
}

/// What a file has, from its front to where it was read.
struct Survey {
    /// Sections of flows, the newest first.
    chunks: Vec<Place>,
    flows: u64,
    damage: Option<Damage>,
}

/// Whether the UUIDs of the flows are those that they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Their numbers go on. Right once for each file: an agent that begins twice with the same file would give a
    /// number twice.
    GoesOn,
    /// They are numbered anew.
    Anew,
}

/// Reads a file into a new ring.
///
/// # Errors
///
/// Nothing of the file can be believed.
pub fn read(file: impl Read + Seek, capacity: Capacity, numbering: Numbering) -> Result<Restored, Damage> {
    let mut sections = Sections::open(file)?;
    let about = match sections.next()? {
        (Kind::About, _, payload) => About::take(payload).map_err(Damage::About)?,
        _ => return Err(Damage::Order),
    };
    let Survey { chunks, flows, damage } = survey(&mut sections, &about, capacity);
    let uuids = match numbering {
        Numbering::GoesOn => FlowUuids::new(about.run, about.next.wrapping_sub(flows)),
        Numbering::Anew => FlowUuids::random(),
    };
    let (mut writer, ring) = Ring::with_uuids(capacity, uuids);
    let (mut shared, mut records) = (Shared::default(), Vec::new());
    for place in chunks.into_iter().rev() {
        let payload = sections.again(place).map_err(Broken::Io)?;
        chunk::restore(payload, &mut shared, &mut writer, &mut records).map_err(Damage::Flows)?;
    }
    ring.set_restored();
    let About { agent, until_ns, written_monotonic_ns, losses, mut gaps, .. } = about;
    let missing = about.flows.min(capacity.flows()).saturating_sub(flows);
    if damage.is_some() && missing > 0 {
        gaps.push(Gap {
            first_ns: about.oldest_ns,
            last_ns: ring.oldest_time_ns().unwrap_or(until_ns),
            flows: Some(missing),
            cause: GapCause::Unreadable,
        });
    }
    Ok(Restored { writer, ring, flows, agent, until_ns, written_monotonic_ns, losses, gaps, damage })
}

/// Goes through the sections of flows until there are enough, or until something is wrong.
fn survey(sections: &mut Sections<impl Read + Seek>, about: &About, capacity: Capacity) -> Survey {
    let mut survey = Survey { chunks: Vec::new(), flows: 0, damage: None };
    while survey.flows < capacity.flows() {
        match next_chunk(sections, about.next, survey.flows) {
            Ok(Some((place, count))) => {
                survey.chunks.push(place);
                survey.flows += u64::from(count);
            }
            Ok(None) => break,
            Err(damage) => {
                survey.damage = Some(damage);
                break;
            }
        }
    }
    survey
}

/// The next section of flows, which must follow those before it; `None` at the end.
fn next_chunk(
    sections: &mut Sections<impl Read + Seek>,
    next: u64,
    flows: u64,
) -> Result<Option<(Place, u32)>, Damage> {
    let (kind, place, payload) = sections.next()?;
    let mut take = Take::new(payload);
    match kind {
        Kind::About => Err(Damage::Order),
        Kind::Flows => {
            let Span { end, count } = Span::take(&mut take).map_err(Damage::Flows)?;
            if end == next.wrapping_sub(flows) { Ok(Some((place, count))) } else { Err(Damage::Order) }
        }
        Kind::End => {
            let total = take.u64("the last section").map_err(Damage::Flows)?;
            let is_whole = total == flows && take.end().is_ok() && sections.is_at_end();
            if is_whole { Ok(None) } else { Err(Damage::Order) }
        }
    }
}

// === impl Damage ===

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Broken::Io(error).into()
    }
}
