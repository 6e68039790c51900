//! `source_identity`, `destination_identity`.

use palomar_proto::flow::FlowFilter;

use super::endpoint::EndpointTest;
use crate::view::Side;

/// Identities of which one must be the endpoint's.
#[derive(Debug)]
pub(super) struct Identities(Vec<u32>);

pub(super) fn compile(filter: &FlowFilter, side: Side) -> Option<EndpointTest> {
    let identities = side.of(&filter.source_identity, &filter.destination_identity);
    (!identities.is_empty()).then(|| EndpointTest::Identity(Identities(identities.clone())))
}

impl Identities {
    pub(super) fn matches(&self, identity: u32) -> bool {
        self.0.contains(&identity)
    }
}
