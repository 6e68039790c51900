//! `verdict`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::view::FlowView;

/// Verdicts of which one must be the flow's.
#[derive(Debug)]
pub(super) struct Verdicts(Vec<i32>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.verdict.is_empty()).then(|| Test::Verdict(Verdicts(filter.verdict.clone())))
}

impl Verdicts {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.is_flow() && self.0.contains(&flow.verdict())
    }
}
