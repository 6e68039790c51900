//! `reply`.

use palomar_proto::flow::{FlowFilter, Verdict};

use super::test::Test;
use crate::view::FlowView;

/// Reply states of which one must be the flow's. A flow that does not say is no reply if it was dropped, and otherwise neither.
#[derive(Debug)]
pub(super) struct Replies(Vec<bool>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.reply.is_empty()).then(|| Test::Reply(Replies(filter.reply.clone())))
}

impl Replies {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        let dropped = flow.verdict() == Verdict::Dropped as i32;
        flow.is_reply().or(dropped.then_some(false)).is_some_and(|is_reply| self.0.contains(&is_reply))
    }
}
