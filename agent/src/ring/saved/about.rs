//! What a file says beside its flows.

use super::bytes::{Malformed, Put as _, Take};
use crate::losses::{Gap, GapCause, Loss, LossSource};
use crate::ring::UuidRun;

/// The first section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The version of the agent that wrote the file.
    pub agent: String,
    /// Up to when that agent took events out of the kernel, in nanoseconds since the Unix epoch.
    pub until_ns: i64,
    /// When it wrote the file, in nanoseconds of `CLOCK_MONOTONIC`.
    pub written_monotonic_ns: u64,
    /// The time of the oldest flow of the ring; `until_ns` if there was none.
    pub oldest_ns: i64,
    /// How many flows the ring had: the file may have fewer, if there was no time for all.
    pub flows: u64,
    /// The number that the next flow would have had.
    pub next: u64,
    /// What the numbers of flows become UUIDs with.
    pub run: UuidRun,
    /// The intervals in which something was lost.
    pub losses: Vec<Loss>,
    /// The gaps.
    pub gaps: Vec<Gap>,
}

// === impl About ===

impl About {
    pub fn put(&self) -> Vec<u8> {
        let Self {
            agent,
            until_ns,
            written_monotonic_ns,
            oldest_ns,
            flows,
            next,
            run: UuidRun { keys, number },
            losses,
            gaps,
        } = self;
        let mut out = Vec::new();
        out.put_text(agent);
        out.put_i64(*until_ns);
        out.put_u64(*written_monotonic_ns);
        out.put_i64(*oldest_ns);
        out.put_u64(*flows);
        out.put_u64(*next);
        for key in keys {
            out.put_u64(*key);
        }
        out.put_u64(*number);
        out.put_len(losses.len());
        for loss in losses {
            put_loss(*loss, &mut out);
        }
        out.put_len(gaps.len());
        for gap in gaps {
            put_gap(*gap, &mut out);
        }
        out
    }

    pub fn take(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut take = Take::new(bytes);
        let about = Self {
            agent: take.text("the agent's version")?.to_owned(),
            until_ns: take.i64("the time of its end")?,
            written_monotonic_ns: take.u64("the time of its end")?,
            oldest_ns: take.i64("the time of the oldest flow")?,
            flows: take.u64("the number of flows")?,
            next: take.u64("the number of the next flow")?,
            run: take_run(&mut take)?,
            losses: take.list("the losses", usize::MAX, take_loss)?.into_iter().flatten().collect(),
            gaps: take.list("the gaps", usize::MAX, take_gap)?,
        };
        take.end()?;
        Ok(about)
    }
}

fn take_run(take: &mut Take<'_>) -> Result<UuidRun, Malformed> {
    let mut keys = [0; 6];
    for key in &mut keys {
        *key = take.u64("the keys of UUIDs")?;
    }
    Ok(UuidRun::new(keys, take.u64("the run of UUIDs")?))
}

fn put_loss(loss: Loss, out: &mut Vec<u8>) {
    let Loss { source, count, first_ns, last_ns } = loss;
    out.put_text(source.name());
    out.put_varint(count);
    out.put_i64(first_ns);
    out.put_i64(last_ns);
}

/// `None` for a source that this agent does not have.
fn take_loss(take: &mut Take<'_>) -> Result<Option<Loss>, Malformed> {
    let name = take.text("the source of a loss")?;
    let count = take.varint("the count of a loss")?;
    let (first_ns, last_ns) = (take.i64("a loss")?, take.i64("a loss")?);
    let source = LossSource::ALL.into_iter().find(|source| source.name() == name);
    Ok(source.map(|source| Loss { source, count, first_ns, last_ns }))
}

fn put_gap(gap: Gap, out: &mut Vec<u8>) {
    let Gap { first_ns, last_ns, flows, cause } = gap;
    out.put_u8(cause as u8);
    out.put_i64(first_ns);
    out.put_i64(last_ns);
    out.put_u8(flows.is_some().into());
    out.put_varint(flows.unwrap_or(0));
}

fn take_gap(take: &mut Take<'_>) -> Result<Gap, Malformed> {
    let cause = match take.u8("a gap")? {
        1 => GapCause::NothingRan,
        2 => GapCause::NotSaved,
        3 => GapCause::Unreadable,
        4 => GapCause::Replaced,
        number => return Err(Malformed::Number { what: "cause of a gap", number: number.into() }),
    };
    let (first_ns, last_ns) = (take.i64("a gap")?, take.i64("a gap")?);
    let is_known = take.u8("a gap")? != 0;
    let flows = take.varint("a gap")?;
    Ok(Gap { first_ns, last_ns, flows: is_known.then_some(flows), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        let about = About {
            agent: "0.1.0".to_owned(),
            until_ns: 4,
            written_monotonic_ns: 5,
            oldest_ns: -3,
            flows: 7,
            next: u64::MAX,
            run: UuidRun::new([1, 2, 3, 4, 5, u64::MAX], 6),
            losses: LossSource::ALL
                .map(|source| Loss { source, count: 1 << 40, first_ns: i64::MIN, last_ns: i64::MAX })
                .into(),
            gaps: [
                (None, GapCause::NothingRan),
                (Some(0), GapCause::NotSaved),
                (Some(9), GapCause::Unreadable),
                (None, GapCause::Replaced),
            ]
            .map(|(flows, cause)| Gap { first_ns: i64::MIN, last_ns: 3, flows, cause })
            .into(),
        };
        assert_eq!(About::take(&about.put()), Ok(about));
    }

    #[test]
    fn a_loss_of_a_source_that_is_no_more_is_left_out() {
        let mut bytes = Vec::new();
        bytes.put_text("a source of old");
        bytes.put_varint(3);
        bytes.put_i64(1);
        bytes.put_i64(2);
        let mut take = Take::new(&bytes);
        assert_eq!(take_loss(&mut take), Ok(None));
        assert_eq!(take.end(), Ok(()));
    }
}
