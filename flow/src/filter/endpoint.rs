//! The tests that depend on one endpoint alone.

use super::cluster::Clusters;
use super::identity::Identities;
use super::labels::LabelSelectors;
use super::name::NamePrefixes;
use super::workload::Workloads;
use crate::view::EndpointView;

/// One field of a filter about one end.
#[derive(Debug)]
pub(super) enum EndpointTest {
    Identity(Identities),
    Pod(NamePrefixes),
    Workload(Workloads),
    Labels(LabelSelectors),
    Cluster(Clusters),
}

impl EndpointTest {
    /// Whether the end passes; a missing end reads as one without names and labels, and has no identity.
    pub(super) fn matches<E: EndpointView>(&self, endpoint: Option<&E>) -> bool {
        match self {
            Self::Identity(identities) => endpoint.is_some_and(|end| identities.matches(end.identity())),
            Self::Pod(names) => endpoint.is_some_and(|end| names.matches(end.namespace(), end.pod_name())),
            Self::Workload(workloads) => endpoint.is_some_and(|end| workloads.matches(end.workloads())),
            Self::Labels(selectors) => match endpoint {
                Some(end) => selectors.matches(|| end.labels()),
                None => selectors.matches(std::iter::empty),
            },
            Self::Cluster(clusters) => clusters.matches(endpoint.map_or("", EndpointView::cluster_name)),
        }
    }
}
