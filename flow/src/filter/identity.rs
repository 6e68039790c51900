//! `source_identity`, `destination_identity`.

use palomar_proto::flow::FlowFilter;

use super::endpoint::Asked;
use super::test::Test;
use crate::view::Side;

/// Identities of which one must be the endpoint's, sorted.
#[derive(Debug)]
pub(super) struct Identities(Vec<u32>);

pub(super) fn compile(filter: &FlowFilter, side: Side) -> Option<Test> {
    let identities = side.of(&filter.source_identity, &filter.destination_identity);
    (!identities.is_empty()).then(|| Asked::Identity(Identities::new(identities)).of(side))
}

impl Identities {
    fn new(identities: &[u32]) -> Self {
        let mut identities = identities.to_vec();
        identities.sort_unstable();
        Self(identities)
    }

    pub(super) fn matches(&self, identity: u32) -> bool {
        self.0.binary_search(&identity).is_ok()
    }
}
