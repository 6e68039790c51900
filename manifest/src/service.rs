//! Services.

use std::net::IpAddr;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Service, ServicePort, TargetPort};

use crate::error::Problem;
use crate::fields::{At, Fields, Known, Problems};
use crate::syntax;
use crate::tree::Value;

const SPEC: Known<'_> = Known {
    read: &[
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalTrafficPolicy",
        "internalTrafficPolicy",
        "ports",
        "publishNotReadyAddresses",
        "selector",
        "type",
    ],
    others: &["externalName", "ipFamilies"],
};
const PORT: Known<'_> =
    Known { read: &["name", "protocol", "port", "targetPort", "nodePort"], others: &["appProtocol"] };
const STATUS: Known<'_> = Known::read(&["loadBalancer"]);
const LOAD_BALANCER: Known<'_> = Known::read(&["ingress"]);
const INGRESS: Known<'_> = Known { read: &["ip", "ipMode"], others: &["hostname", "ports"] };

/// How a service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

const TYPES: [(&str, Type); 4] = [
    ("ClusterIP", Type::ClusterIp),
    ("NodePort", Type::NodePort),
    ("LoadBalancer", Type::LoadBalancer),
    ("ExternalName", Type::ExternalName),
];
/// Of `externalTrafficPolicy`: whether the source is kept; of `internalTrafficPolicy`: whether it is the own node alone.
const TRAFFIC_POLICIES: [(&str, bool); 2] = [("Cluster", false), ("Local", true)];
/// Of `ipMode`: whether the load balancer leaves its address to the nodes.
const IP_MODES: [(&str, bool); 2] = [("VIP", true), ("Proxy", false)];

pub(crate) fn read(name: ObjectName, root: &Fields<'_>, problems: &mut Problems) -> Service {
    let mut service = Service::new(name);
    let Some(spec) = root.get("spec").and_then(|at| at.fields(problems, SPEC)) else {
        return service;
    };
    let kind =
        spec.get_text("type").map_or(Some(Type::ClusterIp), |at| at.one_of(&TYPES, "a type", problems));
    let is_headless = cluster_addresses(&mut service, &spec, kind, problems);
    let mut external = external_addresses(&spec, problems);
    service.keeps_source = keeps_source(&spec, kind, !external.is_empty(), problems);
    let internal = spec.get_text("internalTrafficPolicy");
    let internal = internal.and_then(|at| at.one_of(&TRAFFIC_POLICIES, "a traffic policy", problems));
    service.is_node_local = internal.unwrap_or(false);
    external.extend(announced(root, problems));
    // nodes take no notice of what stands outside the cluster for a headless service
    if !is_headless && kind != Some(Type::ExternalName) {
        service.external_addresses = once(external);
    }
    service.ports = ports(&spec, kind, problems);
    let takes_unready = spec.get("publishNotReadyAddresses").and_then(|at| at.boolean(problems));
    service.takes_unready = takes_unready.unwrap_or(false);
    service.selector =
        spec.get("selector").map(|at| at.labels(problems)).filter(|selector| !selector.is_empty());
    service
}

/// Reads the cluster addresses, and tells whether it is said that there is none.
fn cluster_addresses(
    service: &mut Service,
    spec: &Fields<'_>,
    kind: Option<Type>,
    problems: &mut Problems,
) -> bool {
    let listed = spec.get("clusterIPs").map(|at| at.items(problems)).unwrap_or_default();
    let mut is_headless = false;
    for at in spec.get("clusterIP").into_iter().chain(listed) {
        match at.node.as_str() {
            Some("") => {}
            Some("None") => {
                is_headless = true;
                if let Some(kind @ (Type::NodePort | Type::LoadBalancer)) = kind {
                    problems.add(&at, format!("a service of type {} cannot be headless", kind.name()));
                }
            }
            _ => service.cluster_ips.extend(at.address(problems)),
        }
    }
    service.cluster_ips = once(std::mem::take(&mut service.cluster_ips));
    is_headless
}

fn external_addresses(spec: &Fields<'_>, problems: &mut Problems) -> Vec<IpAddr> {
    let listed = spec.get("externalIPs").map(|at| at.items(problems)).unwrap_or_default();
    listed.iter().filter_map(|at| at.address_beyond_link(problems)).collect()
}

fn keeps_source(spec: &Fields<'_>, kind: Option<Type>, has_external: bool, problems: &mut Problems) -> bool {
    let Some(at) = spec.get_text("externalTrafficPolicy") else { return false };
    let keeps_source = at.one_of(&TRAFFIC_POLICIES, "a traffic policy", problems);
    let is_external = match kind {
        Some(Type::NodePort | Type::LoadBalancer) | None => true,
        Some(Type::ClusterIp) => has_external,
        Some(Type::ExternalName) => false,
    };
    if !is_external {
        problems.add(
            &at,
            "only a service of type NodePort or LoadBalancer, or one with externalIPs, may have one",
        );
    }
    keeps_source.unwrap_or(false)
}

/// The addresses that a load balancer announces and leaves to the nodes. Those that lead nowhere but to the host itself,
/// as some balancers on one machine announce, are left out.
fn announced(root: &Fields<'_>, problems: &mut Problems) -> Vec<IpAddr> {
    let status = root.get("status").and_then(|at| at.fields(problems, STATUS));
    let balancer = status
        .and_then(|status| status.get("loadBalancer"))
        .and_then(|at| at.fields(problems, LOAD_BALANCER));
    let ingress = balancer.and_then(|balancer| balancer.get("ingress"));
    let mut addresses = Vec::new();
    for at in ingress.map(|at| at.items(problems)).unwrap_or_default() {
        let Some(fields) = at.fields(problems, INGRESS) else { continue };
        let mode = fields.get_text("ipMode");
        let is_left = mode.is_none_or(|at| at.one_of(&IP_MODES, "a mode", problems).unwrap_or(false));
        let address = fields.get_text("ip").filter(|at| {
            at.node.as_str().and_then(|text| text.parse().ok()).is_none_or(|own: IpAddr| !own.is_loopback())
        });
        let address = address.and_then(|at| at.address(problems));
        addresses.extend(address.filter(|_| is_left));
    }
    addresses
}

/// Each port by its protocol and number, and of several by a name as well, is one alone: slices name them so.
fn ports(spec: &Fields<'_>, kind: Option<Type>, problems: &mut Problems) -> Vec<ServicePort> {
    let items = spec.get("ports").map(|at| at.items(problems)).unwrap_or_default();
    let mut ports: Vec<(String, ServicePort)> = Vec::new();
    for at in &items {
        let Some(port) = port(at, kind, items.len() > 1, problems) else { continue };
        alone(at, &port, &ports, problems);
        ports.push((at.path.clone(), port));
    }
    ports.into_iter().map(|(_, port)| port).collect()
}

/// Complains of what a port shares with one of those before it.
fn alone(at: &At<'_>, port: &ServicePort, others: &[(String, ServicePort)], problems: &mut Problems) {
    let ServicePort { name, protocol, port: number, target: _, node_port } = port;
    let mut complain = |field: &str, reason: String| {
        problems.push(Problem::new(at.node.line, format!("{}{field}", at.path), reason));
    };
    let mut of_protocol = others.iter().filter(|(_, other)| other.protocol == *protocol);
    if let Some((place, _)) = of_protocol.clone().find(|(_, other)| other.port == *number) {
        complain("", format!("{protocol} {number} stands in {place} already"));
    }
    if let Some((place, _)) = others.iter().find(|(_, other)| !name.is_empty() && other.name == *name) {
        complain(".name", format!("{name} is the name of {place} already"));
    }
    if let Some(number) = node_port
        && let Some((_, other)) = of_protocol.find(|(_, other)| other.node_port == Some(*number))
    {
        let reason =
            format!("{protocol} {number} is the node port of the service's port {} already", other.port);
        complain(".nodePort", reason);
    }
}

/// `has_others`: it is one of several.
fn port(at: &At<'_>, kind: Option<Type>, has_others: bool, problems: &mut Problems) -> Option<ServicePort> {
    let fields = at.fields(problems, PORT)?;
    let name = fields.get_text("name");
    if name.is_none() && has_others {
        problems.add(&fields.missing("name"), "missing: of several ports each has a name");
    }
    let name = name.and_then(|at| at.checked(problems, syntax::dns_label));
    let protocol = fields.get_text("protocol").map_or(Some(Protocol::Tcp), |at| at.protocol(problems));
    let Some(port) = fields.get("port") else {
        problems.add(&fields.missing("port"), "missing");
        return None;
    };
    let port = port.port(problems);
    let leads_to = fields.get_text("targetPort").filter(|at| at.node.value != Value::Int(0));
    let target = leads_to.map(|at| target(&at, problems));
    let node_port = fields.get("nodePort").and_then(|at| node_port(&at, kind, problems));
    Some(ServicePort {
        name: name.unwrap_or_default().to_owned(),
        protocol: protocol?,
        port: port?,
        target: target.unwrap_or(port.map(TargetPort::Number))?,
        node_port,
    })
}

/// 0 is how one may be written that is still to be given.
fn node_port(at: &At<'_>, kind: Option<Type>, problems: &mut Problems) -> Option<u16> {
    if at.node.value == Value::Int(0) {
        return None;
    }
    let number = at.port(problems);
    if let Some(kind @ (Type::ClusterIp | Type::ExternalName)) = kind {
        let reason = format!(
            "a service of type {} has no node ports; only NodePort and LoadBalancer have them",
            kind.name()
        );
        problems.add(at, reason);
    }
    number
}

/// 0 and an empty name are as good as none.
fn target(at: &At<'_>, problems: &mut Problems) -> Option<TargetPort> {
    match at.node.value {
        Value::Str(_) => {
            at.checked(problems, syntax::port_name).map(|name| TargetPort::Named(name.to_owned()))
        }
        _ => at.port(problems).map(TargetPort::Number),
    }
}

fn once(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = Vec::new();
    for address in addresses {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    seen
}

// === impl Type ===

impl Type {
    fn name(self) -> &'static str {
        TYPES.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}
