//! `interface`.

use palomar_proto::flow::{FlowFilter, NetworkInterface};

use super::test::Test;
use crate::view::FlowView;

/// Interfaces of which one must be the flow's. Index 0 and an empty name match any; a flow without an interface
/// never matches.
#[derive(Debug)]
pub(super) struct Interfaces(Vec<NetworkInterface>);

pub(super) fn compile(filter: &FlowFilter) -> Option<Test> {
    (!filter.interface.is_empty()).then(|| Test::Interface(Interfaces(filter.interface.clone())))
}

impl Interfaces {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.interface().is_some_and(|(index, name)| {
            self.0.iter().any(|wanted| {
                (wanted.index == 0 || wanted.index == index)
                    && (wanted.name.is_empty() || wanted.name == name)
            })
        })
    }
}
