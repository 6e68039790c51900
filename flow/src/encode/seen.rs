//! What follows from the event alone.

use palomar_model::flow::Event;
use prost::Message;

use super::cache::Cache;
use crate::convert;
use crate::mask::PartMask;
use crate::sighting::Sighting;

/// The fields that [`convert::seen_to_proto`] fills.
pub const FIELDS: [u32; 10] = [2, 3, 16, 19, 22, 23, 24, 25, 26, 36];

/// Writes these fields.
#[derive(Debug)]
pub struct SeenParts {
    mask: PartMask,
    cache: Cache,
}

impl SeenParts {
    pub fn new(mask: PartMask) -> Self {
        Self { mask, cache: Cache::default() }
    }

    pub fn part(&mut self, sighting: Sighting) -> &[u8] {
        let Self { mask, cache } = self;
        cache.part(number(sighting), |out| {
            mask.copy(&convert::seen_to_proto(sighting).encode_to_vec(), out);
        })
    }
}

/// A number that no other sighting has.
fn number(sighting: Sighting) -> u32 {
    let Sighting { event, verdict, state, direction, at_endpoint } = sighting;
    let event = match event {
        Event::Trace(point) => point as u32,
        Event::Drop(reason) => 1 << 8 | u32::from(reason.0),
        Event::PolicyVerdict(match_type) => 2 << 8 | match_type as u32,
    };
    event << 8
        | (verdict as u32) << 5
        | (state as u32) << 2
        | (direction as u32 - 1) << 1
        | u32::from(at_endpoint)
}
