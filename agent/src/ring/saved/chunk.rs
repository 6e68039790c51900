//! A section of flows: filled from the newest flow to the oldest, and read whole.

use std::io;

use super::bytes::{Malformed, Put as _, Take};
use super::names::{self, NameLists, Shared};
use super::record;
use crate::ring::{Batch, Record, Writer};

/// Flows of a section at most.
pub const MAX_FLOWS: u32 = 16_384;
/// A section is ended when its flows and names take so many bytes.
pub const FULL_BYTES: usize = 2 << 20;

/// A section that is being filled.
#[derive(Debug, Default)]
pub struct Chunk {
    count: u32,
    names: NameLists,
    /// What the ring's numbers mean is one thing within a section.
    erasures: u64,
    previous_ns: i64,
    flows: Vec<u8>,
}

/// The first part of a section: which flows these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number of the newest flow, plus one.
    pub end: u64,
    /// How many there are, at least one.
    pub count: u32,
}

// === impl Chunk ===

impl Chunk {
    /// Whether a flow whose numbers these names give would be of the same section.
    pub fn has_room(&self, batch: &Batch) -> bool {
        self.count < MAX_FLOWS
            && self.names.bytes() + self.flows.len() < FULL_BYTES
            && (self.count == 0 || self.erasures == batch.names.erasures())
    }

    /// Adds a flow that is older than those before it.
    pub fn add(&mut self, record: &Record, batch: &Batch) -> io::Result<()> {
        self.erasures = batch.names.erasures();
        let places = self.names.places(record, batch)?;
        record::put(record, places, self.previous_ns, &mut self.flows);
        self.previous_ns = record.time_ns;
        self.count += 1;
        Ok(())
    }

    /// How many flows were added.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The payload, up to the flow before the number `end`; the next section begins empty.
    pub fn put(&mut self, end: u64, out: &mut Vec<u8>) {
        out.clear();
        out.put_u64(end);
        out.put_u32(self.count);
        self.names.put(out);
        out.append(&mut self.flows);
        (self.count, self.previous_ns) = (0, 0);
    }
}

// === impl Span ===

impl Span {
    /// The first part of a payload.
    pub fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        let (end, count) = (take.u64("a section of flows")?, take.u32("a section of flows")?);
        if count == 0 || count > MAX_FLOWS || u64::from(count) > end {
            return Err(Malformed::Number { what: "number of flows in a section", number: count.into() });
        }
        Ok(Self { end, count })
    }
}

/// Writes the flows of a section into a ring. `records` is for reuse.
///
/// # Errors
///
/// Then none was written.
pub fn restore(
    payload: &[u8],
    shared: &mut Shared,
    writer: &mut Writer,
    records: &mut Vec<Record>,
) -> Result<(), Malformed> {
    let mut take = Take::new(payload);
    let Span { end: _, count } = Span::take(&mut take)?;
    let flows = usize::try_from(count).unwrap_or(usize::MAX);
    let numbers = names::take(&mut take, flows, shared, writer)?;
    records.clear();
    let mut previous_ns = 0;
    for _ in 0..flows {
        let record = record::take(&mut take, &numbers, previous_ns)?;
        previous_ns = record.time_ns;
        records.push(record);
    }
    take.end()?;
    records.reverse();
    writer.append(records);
    Ok(())
}
