//! `node_name`.

use palomar_proto::flow::FlowFilter;

use super::InvalidFilter;
use super::pattern::{InvalidPattern, Pattern};
use super::test::Test;
use crate::view::FlowView;

/// Patterns of which one must match the name of the flow's node.
#[derive(Debug)]
pub(super) struct NodeNames(Vec<NodePattern>);

/// Each part is a pattern; a missing one matches any name.
#[derive(Debug)]
struct NodePattern {
    cluster: Option<Pattern>,
    node: Option<Pattern>,
}

pub(super) fn compile(filter: &FlowFilter) -> Result<Option<Test>, InvalidFilter> {
    let patterns: Vec<_> =
        filter.node_name.iter().map(|pattern| NodePattern::compile(pattern)).collect::<Result<_, _>>()?;
    Ok((!patterns.is_empty()).then_some(Test::NodeName(NodeNames(patterns))))
}

impl NodePattern {
    fn compile(pattern: &str) -> Result<Self, InvalidPattern> {
        let part = |part: &str| (!part.is_empty()).then(|| Pattern::compile(part)).transpose();
        match pattern.split('/').collect::<Vec<_>>()[..] {
            [""] => Err(InvalidPattern::Empty),
            [node] => Ok(Self { cluster: None, node: part(node)? }),
            [cluster, node] => Ok(Self { cluster: part(cluster)?, node: part(node)? }),
            _ => Err(InvalidPattern::Slashes),
        }
    }

    fn matches(&self, cluster: &str, node: &str) -> bool {
        let fits = |pattern: &Option<Pattern>, text| {
            pattern.as_ref().map_or_else(|| is_name(text), |pattern| pattern.matches(text))
        };
        fits(&self.cluster, cluster) && fits(&self.node, node)
    }
}

/// Whether a text is a DNS name in lower case; underscores are allowed.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte| matches!(byte, b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z');
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(is_allowed))
}

impl NodeNames {
    /// A node without a cluster is in `default`; a flow without a node never matches.
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        let name = flow.node_name();
        let (cluster, node) = name.split_once('/').unwrap_or(("default", name));
        !name.is_empty() && self.0.iter().any(|pattern| pattern.matches(cluster, node))
    }
}
