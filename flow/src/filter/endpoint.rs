//! The tests that depend on one endpoint alone.

use super::cluster::Clusters;
use super::identity::Identities;
use super::labels::LabelSelectors;
use super::name::NamePrefixes;
use super::test::Test;
use super::workload::Workloads;
use crate::view::{EndpointView, FlowView, Part, Side};

/// One field of a filter about one end.
#[derive(Debug)]
pub(super) struct EndTest {
    side: Side,
    asked: Asked,
}

/// What is asked of the end.
#[derive(Debug)]
pub(super) enum Asked {
    Identity(Identities),
    Pod(NamePrefixes),
    Workload(Workloads),
    Labels(LabelSelectors),
    Cluster(Clusters),
}

impl Asked {
    pub(super) fn of(self, side: Side) -> Test {
        Test::End(EndTest { side, asked: self })
    }
}

impl EndTest {
    pub(super) fn part(&self) -> Part {
        Part::End(self.side)
    }

    /// Whether the end passes; a missing end reads as one without names and labels, and has no identity.
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        let endpoint = flow.endpoint(self.side);
        match &self.asked {
            Asked::Identity(identities) => endpoint.is_some_and(|end| identities.matches(end.identity())),
            Asked::Pod(names) => endpoint.is_some_and(|end| names.matches(end.namespace(), end.pod_name())),
            Asked::Workload(workloads) => endpoint.is_some_and(|end| workloads.matches(end.workloads())),
            Asked::Labels(selectors) => match endpoint {
                Some(end) => selectors.matches(|| end.labels()),
                None => selectors.matches(std::iter::empty),
            },
            Asked::Cluster(clusters) => clusters.matches(endpoint.map_or("", EndpointView::cluster_name)),
        }
    }
}
