//! What all flows of one node have in common.

use palomar_model::labels::Labels;
use palomar_proto::flow::{Emitter, Flow};

/// Name, labels and emitter that stand in every flow of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeContext {
    name: String,
    labels: Vec<String>,
    emitter: Option<Emitter>,
}

impl NodeContext {
    /// A node of a cluster, and the version of the agent on it. A node of the cluster `default` (or of none) is
    /// shown without the cluster.
    pub fn new(node: &str, cluster: &str, labels: &Labels, version: &str) -> Self {
        let name =
            if matches!(cluster, "" | "default") { node.to_owned() } else { format!("{cluster}/{node}") };
        Self {
            name,
            labels: labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            emitter: Some(Emitter { name: "Palomar".into(), version: version.to_owned() }),
        }
    }

    /// The node that told a flow: name, labels and emitter as they stand in the message.
    pub fn of_flow(flow: &Flow) -> Self {
        Self { name: flow.node_name.clone(), labels: flow.node_labels.clone(), emitter: flow.emitter.clone() }
    }

    /// `cluster/node`, or `node`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels as `key=value`, sorted.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Who tells the flow; `None` for a node of another make that does not say.
    pub const fn emitter(&self) -> Option<&Emitter> {
        self.emitter.as_ref()
    }
}
