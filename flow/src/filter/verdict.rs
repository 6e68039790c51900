//! `verdict`.

use palomar_proto::flow::FlowFilter;

use super::single::FlowTest;
use crate::view::FlowView;

/// Verdicts of which one must be the flow's.
#[derive(Debug)]
pub(super) struct Verdicts(Vec<i32>);

pub(super) fn compile(filter: &FlowFilter) -> Option<FlowTest> {
    (!filter.verdict.is_empty()).then(|| FlowTest::Verdict(Verdicts(filter.verdict.clone())))
}

impl Verdicts {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.is_flow() && self.0.contains(&flow.verdict())
    }
}
