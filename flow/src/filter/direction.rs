//! `traffic_direction`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::view::FlowView;

/// Traffic directions of which one must be the flow's.
#[derive(Debug)]
pub(super) struct Directions(Vec<i32>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.traffic_direction.is_empty())
        .then(|| Test::Direction(Directions(filter.traffic_direction.clone())))
}

impl Directions {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.is_flow() && self.0.contains(&flow.traffic_direction())
    }
}
