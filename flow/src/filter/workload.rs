//! `source_workload`, `destination_workload`.

use palomar_proto::flow::{FlowFilter, Workload};

use super::endpoint::Asked;
use super::test::Test;
use crate::view::Side;

/// Workloads of which one must be one of the endpoint's. An empty name or kind matches any.
#[derive(Debug)]
pub(super) struct Workloads(Vec<Workload>);

pub(super) fn compile(filter: &FlowFilter, side: Side) -> Option<Test> {
    let workloads = side.of(&filter.source_workload, &filter.destination_workload);
    (!workloads.is_empty()).then(|| Asked::Workload(Workloads(workloads.clone())).of(side))
}

impl Workloads {
    pub(super) fn matches<'a>(&self, mut workloads: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        let wanted = |wanted: &str, actual: &str| wanted.is_empty() || wanted == actual;
        workloads.any(|(name, kind)| {
            self.0.iter().any(|workload| wanted(&workload.name, name) && wanted(&workload.kind, kind))
        })
    }
}
