//! A pod's containers: the ports that they give names to.

use palomar_model::packet::Protocol;
use palomar_model::ports::{NamedPort, NamedPorts};

use crate::fields::{At, Fields, Known, Problems};
use crate::syntax;

const CONTAINER: Known<'_> = Known { read: &["ports", "restartPolicy"], others: &["args", "env"] };
const PORT: Known<'_> =
    Known { read: &["name", "protocol", "containerPort"], others: &["hostIP", "hostPort"] };

/// The named ports of all containers that run as long as the pod does. Init containers have ended by then, unless
/// they are sidecars.
pub(crate) fn named_ports(spec: &Fields<'_>, problems: &mut Problems) -> NamedPorts {
    let mut named = Vec::new();
    for (list, is_init) in [("containers", false), ("initContainers", true)] {
        for at in spec.get(list).map(|at| at.items(problems)).unwrap_or_default() {
            let Some(container) = at.fields(problems, CONTAINER) else { continue };
            let policy = container.get_text("restartPolicy").and_then(|at| at.string(problems));
            let ports = ports(&container, problems);
            if !is_init || policy == Some("Always") {
                named.extend(ports);
            }
        }
    }
    NamedPorts::new(named)
}

fn ports(container: &Fields<'_>, problems: &mut Problems) -> Vec<NamedPort> {
    let items = container.get("ports").map(|at| at.items(problems)).unwrap_or_default();
    items.iter().filter_map(|at| port(at, problems)).collect()
}

/// `None` for a port without a name, too.
fn port(at: &At<'_>, problems: &mut Problems) -> Option<NamedPort> {
    let fields = at.fields(problems, PORT)?;
    let name = fields.get_text("name").and_then(|at| at.checked(problems, syntax::port_name));
    let protocol = fields.get_text("protocol").map_or(Some(Protocol::Tcp), |at| at.protocol(problems));
    let Some(number) = fields.get("containerPort") else {
        problems.add(&fields.missing("containerPort"), "missing");
        return None;
    };
    let number = number.port(problems);
    Some(NamedPort { name: name?.to_owned(), protocol: protocol?, number: number? })
}
