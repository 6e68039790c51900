//! What follows from the event alone.

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
        cache.part(sighting.number(), |out| {
            mask.copy(&convert::seen_to_proto(sighting).encode_to_vec(), out);
        })
    }
}
