//! `tcp_flags`.

use palomar_proto::flow::FlowFilter;

use super::test::Test;
use crate::view::{FlowView, TcpFlagBits, Transport, flag_bits};

/// Flag sets of which one must be contained in the flow's flags. The empty set is contained in any flags, but only
/// TCP flows that tell their flags have any.
#[derive(Debug)]
pub(super) struct FlagSets(Vec<TcpFlagBits>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    let sets: Vec<_> = filter.tcp_flags.iter().map(flag_bits).collect();
    (!sets.is_empty()).then_some(Test::TcpFlags(FlagSets(sets)))
}

impl FlagSets {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        match flow.transport() {
            Some(Transport::Tcp { flags: Some(flags), .. }) => self.0.iter().any(|set| flags & set == *set),
            _ => false,
        }
    }
}
