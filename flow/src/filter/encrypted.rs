//! `encrypted`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::view::FlowView;

/// Whether the packet was encrypted; a flow without IP header was not.
#[derive(Debug)]
pub(super) struct Encrypted(Vec<bool>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.encrypted.is_empty()).then(|| Test::Encrypted(Encrypted(filter.encrypted.clone())))
}

impl Encrypted {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        self.0.contains(&flow.encrypted())
    }
}
