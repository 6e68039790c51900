//! Namespaces, services and nodes.

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Namespace, Node, Service, ServicePort, TargetPort};

use crate::fields::{At, Fields, Known, Problems};
use crate::meta::Metadata;
use crate::syntax;
use crate::tree::Value;

const SERVICE_SPEC: Known<'_> = Known {
    read: &["clusterIP", "clusterIPs", "ports", "selector", "type"],
    others: &["externalIPs", "externalName", "ipFamilies"],
};
const SERVICE_PORT: Known<'_> =
    Known { read: &["name", "protocol", "port", "targetPort"], others: &["appProtocol", "nodePort"] };
const NODE_STATUS: Known<'_> = Known::read(&["addresses"]);
const NODE_ADDRESS: Known<'_> = Known::read(&["type", "address"]);

/// A namespace; it always has the label with its name, as the API server sees to.
pub(crate) fn namespace(name: String, metadata: Metadata) -> Namespace {
    let mut labels = metadata.labels;
    labels.extend(Namespace::default_labels(&name));
    Namespace { name, labels }
}

pub(crate) fn service(name: ObjectName, root: &Fields<'_>, problems: &mut Problems) -> Service {
    let mut service = Service { name, cluster_ips: Vec::new(), ports: Vec::new(), selector: None };
    let Some(spec) = root.get("spec").and_then(|at| at.fields(problems, SERVICE_SPEC)) else {
        return service;
    };
    let listed = spec.get("clusterIPs").map(|at| at.items(problems)).unwrap_or_default();
    for at in spec.get("clusterIP").into_iter().chain(listed) {
        // `None` is how Kubernetes writes a headless service.
        if matches!(at.node.as_str(), Some("" | "None")) {
            continue;
        }
        service.cluster_ips.extend(at.address(problems));
    }
    let mut seen = Vec::new();
    service.cluster_ips.retain(|address| {
        let is_new = !seen.contains(address);
        seen.push(*address);
        is_new
    });
    for at in spec.get("ports").map(|at| at.items(problems)).unwrap_or_default() {
        service.ports.extend(service_port(&at, problems));
    }
    service.selector =
        spec.get("selector").map(|at| at.labels(problems)).filter(|selector| !selector.is_empty());
    service
}

fn service_port(at: &At<'_>, problems: &mut Problems) -> Option<ServicePort> {
    let fields = at.fields(problems, SERVICE_PORT)?;
    let name = fields.get_text("name").and_then(|at| at.checked(problems, syntax::dns_label));
    let protocol = fields.get_text("protocol").map_or(Some(Protocol::Tcp), |at| at.protocol(problems));
    let Some(port) = fields.get("port") else {
        problems.add(&fields.missing("port"), "missing");
        return None;
    };
    let port = port.port(problems);
    let target = fields.get_text("targetPort").map(|at| target(&at, problems));
    Some(ServicePort {
        name: name.unwrap_or_default().to_owned(),
        protocol: protocol?,
        port: port?,
        target: target.unwrap_or(port.map(TargetPort::Number))?,
    })
}

fn target(at: &At<'_>, problems: &mut Problems) -> Option<TargetPort> {
    match at.node.value {
        Value::Str(_) => {
            at.checked(problems, syntax::port_name).map(|name| TargetPort::Named(name.to_owned()))
        }
        _ => at.port(problems).map(TargetPort::Number),
    }
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
