//! `source_service`, `destination_service`.

use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::name::NamePrefixes;
use super::test::Test;
use crate::view::{FlowView, Part, Side};

/// The services of one side, of which one must be the flow's.
#[derive(Debug)]
pub(super) struct Services {
    side: Side,
    names: NamePrefixes,
}

pub(super) fn compile(filter: &FlowFilter) -> Result<Vec<Test>, InvalidFilter> {
    let mut tests = Vec::new();
    for side in Side::BOTH {
        let services = side.of(&filter.source_service, &filter.destination_service);
        if !services.is_empty() {
            let names = NamePrefixes::compile(services).ok_or(InvalidFilter::EmptyService(side.name()))?;
            tests.push(Test::Service(Services { side, names }));
        }
    }
    Ok(tests)
}

impl Services {
    pub(super) fn part(&self) -> Part {
        Part::Service(self.side)
    }

    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        flow.service(self.side).is_some_and(|(namespace, name)| self.names.matches(namespace, name))
    }
}
