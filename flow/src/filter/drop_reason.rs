//! `drop_reason_desc`.

use palomar_proto::flow::{FlowFilter, Verdict};

use super::test::Test;
use crate::view::FlowView;

/// Drop reasons of which one must be that of a dropped flow.
#[derive(Debug)]
pub(super) struct DropReasons(Vec<i32>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.drop_reason_desc.is_empty())
        .then(|| Test::DropReason(DropReasons(filter.drop_reason_desc.clone())))
}

impl DropReasons {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.verdict() == Verdict::Dropped as i32 && self.0.contains(&flow.drop_reason())
    }
}
