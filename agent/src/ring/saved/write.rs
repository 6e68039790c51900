//! From a ring to a file.

use std::io::{self, Write};
use std::time::Instant;

use super::about::About;
use super::bytes::Put as _;
use super::chunk::Chunk;
use super::section::{self, Kind};
use crate::clock::monotonic_now_ns;
use crate::losses::Losses;
use crate::ring::Ring;

/// Writes the ring's flows, the newest first, with what is known of losses. Not all, if it is `deadline` before: then
/// the oldest are left out. Gives how many were written.
///
/// The ring may be written meanwhile: what comes is left out, what is overwritten as well.
///
/// # Errors
///
/// What `out` says; or a name that the format cannot hold, which an agent of this version does not make.
pub fn write(
    ring: &Ring,
    losses: &Losses,
    until_ns: i64,
    deadline: Instant,
    out: &mut impl Write,
) -> io::Result<u64> {
    section::write_head(out)?;
    let end = ring.written();
    let about = about(ring, losses, until_ns, end);
    section::write(Kind::About, &about.put(), out)?;
    let written = write_flows(ring, end, deadline, out)?;
    let mut payload = Vec::new();
    payload.put_u64(written);
    section::write(Kind::End, &payload, out)?;
    Ok(written)
}

fn about(ring: &Ring, losses: &Losses, until_ns: i64, end: u64) -> About {
    About {
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        until_ns,
        written_monotonic_ns: monotonic_now_ns(),
        oldest_ns: ring.oldest_time_ns().unwrap_or(until_ns),
        flows: end.saturating_sub(ring.oldest()),
        next: ring.uuids().number(end),
        run: ring.uuids().run(),
        losses: losses.intervals(),
        gaps: losses.gaps().to_vec(),
    }
}

fn write_flows(ring: &Ring, end: u64, deadline: Instant, out: &mut impl Write) -> io::Result<u64> {
    let (mut chunk, mut payload, mut records) = (Chunk::default(), Vec::new(), Vec::new());
    let (mut at, mut chunk_end) = (end, end);
    loop {
        let batch = ring.read_back(ring.oldest().min(at)..at, &mut records);
        // a batch that does not end where the one before it began has been overwritten in part: so is all before it
        let is_last = records.is_empty() || batch.first + records.len() as u64 != at;
        if is_last {
            records.clear();
        }
        for record in records.iter().rev() {
            if !chunk.has_room(&batch) {
                chunk_end = write_chunk(&mut chunk, ring, chunk_end, &mut payload, out)?;
                if Instant::now() >= deadline {
                    return Ok(end - chunk_end);
                }
            }
            chunk.add(record, &batch)?;
        }
        if is_last {
            return Ok(end - write_chunk(&mut chunk, ring, chunk_end, &mut payload, out)?);
        }
        at = batch.first;
    }
}

/// Writes a section and gives the sequence number that the next one ends before.
fn write_chunk(
    chunk: &mut Chunk,
    ring: &Ring,
    end: u64,
    payload: &mut Vec<u8>,
    out: &mut impl Write,
) -> io::Result<u64> {
    let count = u64::from(chunk.count());
    if count > 0 {
        chunk.put(ring.uuids().number(end), payload);
        section::write(Kind::Flows, payload, out)?;
    }
    Ok(end - count)
}
