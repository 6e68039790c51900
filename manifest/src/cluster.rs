//! Namespaces and nodes.

use palomar_model::world::{Namespace, Node};

use crate::fields::{Fields, Known, Problems};
use crate::meta::Metadata;

const NODE_STATUS: Known<'_> = Known::read(&["addresses"]);
const NODE_ADDRESS: Known<'_> = Known::read(&["type", "address"]);

/// A namespace; it always has the label with its name, as the API server sees to.
pub(crate) fn namespace(name: String, metadata: Metadata) -> Namespace {
    let mut labels = metadata.labels;
    labels.extend(Namespace::default_labels(&name));
    Namespace { name, labels }
}

pub(crate) fn node(name: String, metadata: Metadata, root: &Fields<'_>, problems: &mut Problems) -> Node {
    let mut node = Node { name, addresses: Vec::new(), labels: metadata.labels };
    let Some(status) = root.get("status").and_then(|at| at.fields(problems, NODE_STATUS)) else {
        return node;
    };
    for at in status.get("addresses").map(|at| at.items(problems)).unwrap_or_default() {
        let Some(fields) = at.fields(problems, NODE_ADDRESS) else { continue };
        let kind = fields.get("type").and_then(|at| at.string(problems));
        // Host names and DNS names stand in the same list.
        if !matches!(kind, Some("InternalIP" | "ExternalIP")) {
            continue;
        }
        match fields.get("address") {
            Some(at) => node.addresses.extend(at.address(problems)),
            None => problems.add(&fields.missing("address"), "missing"),
        }
    }
    node
}
