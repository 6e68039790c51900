//! `source_cluster_name`, `destination_cluster_name`.

use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::endpoint::Asked;
use super::test::Test;
use crate::view::Side;

/// Clusters of which one must be the endpoint's, by exact name.
#[derive(Debug)]
pub(super) struct Clusters(Vec<String>);

pub(super) fn compile(filter: &FlowFilter, side: Side) -> Result<Option<Test>, InvalidFilter> {
    let clusters = side.of(&filter.source_cluster_name, &filter.destination_cluster_name);
    if clusters.iter().any(String::is_empty) {
        return Err(InvalidFilter::EmptyName);
    }
    Ok((!clusters.is_empty()).then(|| Asked::Cluster(Clusters(clusters.clone())).of(side)))
}

impl Clusters {
    pub(super) fn matches(&self, cluster: &str) -> bool {
        self.0.iter().any(|wanted| wanted == cluster)
    }
}
