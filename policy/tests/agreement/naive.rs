//! A second oracle, written from the sentences of the `NetworkPolicy` API alone. It reads the API's JSON, shares
//! nothing with the crate but plain values, and knows no defaults but those that the documentation states.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use serde_json::Value;

/// A pod as the API tells of it.
#[derive(Debug, Clone)]
pub struct ApiPod {
    pub namespace: String,
    pub namespace_labels: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Name, protocol and number of each container port.
    pub ports: Vec<(String, Protocol, u16)>,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct ApiPeer {
    /// `None`: it is no pod.
    pub pod: Option<ApiPod>,
    pub address: IpAddr,
}

/// What the documentation says of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// "Allowed to a pod if there are no `NetworkPolicies` selecting the pod."
    NotIsolated,
    /// Matched by these rules: position of the policy, index of the rule.
    Allowed(Vec<(usize, usize)>),
    /// Isolated by these policies, by position.
    Denied(Vec<usize>),
}

/// `policies`: name and `spec` of each.
pub fn judge(
    policies: &[(ObjectName, Value)],
    pod: &ApiPod,
    peer: &ApiPeer,
    direction: Direction,
    protocol: Protocol,
    port: Option<u16>,
) -> Answer {
    let (section, side) = match direction {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    };
    let (mut isolating, mut matching) = (Vec::new(), Vec::new());
    for (position, (name, spec)) in policies.iter().enumerate() {
        // "selects the pods to which this NetworkPolicy object applies … in the policy's namespace"
        if name.namespace != pod.namespace || !selector_matches(&spec["podSelector"], &pod.labels) {
            continue;
        }
        if !affects(spec, direction) {
            continue;
        }
        isolating.push(position);
        // "the pod that is connected to": the selected one for ingress, the peer for egress
        let destination = match direction {
            Direction::Ingress => Some(pod),
            Direction::Egress => peer.pod.as_ref(),
        };
        for (index, rule) in items(&spec[section]).iter().enumerate() {
            let (peers, ports) = (items(&rule[side]), items(&rule["ports"]));
            // "empty or missing: matches all"; otherwise "at least one item in the list"
            let from = peers.is_empty() || peers.iter().any(|item| peer_matches(item, &name.namespace, peer));
            let to =
                ports.is_empty() || ports.iter().any(|item| port_matches(item, protocol, port, destination));
            if from && to {
                matching.push((position, index));
            }
        }
    }
    if isolating.is_empty() {
        Answer::NotIsolated
    } else if matching.is_empty() {
        Answer::Denied(isolating)
    } else {
        Answer::Allowed(matching)
    }
}

/// "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
/// contain an egress section are assumed to affect egress, and all policies are assumed to affect ingress."
fn affects(spec: &Value, direction: Direction) -> bool {
    let types = items(&spec["policyTypes"]);
    match direction {
        Direction::Ingress => types.is_empty() || types.iter().any(|one| one == "Ingress"),
        Direction::Egress if types.is_empty() => !items(&spec["egress"]).is_empty(),
        Direction::Egress => types.iter().any(|one| one == "Egress"),
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// "A label selector is a label query: the result of matchLabels and matchExpressions are combined by AND. An empty label
/// selector matches all objects."
fn selector_matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let pairs = selector["matchLabels"].as_object();
    let by_labels =
        pairs.into_iter().flatten().all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    by_labels && items(&selector["matchExpressions"]).iter().all(|one| expression_matches(one, labels))
}

fn expression_matches(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(expression["key"].as_str().expect("a key"));
    let is_among =
        |value: &String| items(&expression["values"]).iter().any(|one| one.as_str() == Some(value));
    match expression["operator"].as_str() {
        Some("In") => value.is_some_and(is_among),
        Some("NotIn") => !value.is_some_and(is_among),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        other => panic!("operator {other:?}"),
    }
}

fn peer_matches(item: &Value, policy_namespace: &str, peer: &ApiPeer) -> bool {
    if let Some(block) = item.get("ipBlock") {
        // "The except entry describes CIDRs that should not be included within this rule."
        return is_in(&block["cidr"], peer.address)
            && !items(&block["except"]).iter().any(|except| is_in(except, peer.address));
    }
    let Some(pod) = &peer.pod else { return false };
    match (item.get("namespaceSelector"), item.get("podSelector")) {
        // "the pods matching podSelector in the Namespaces selected by namespaceSelector"
        (Some(namespaces), Some(pods)) => {
            selector_matches(namespaces, &pod.namespace_labels) && selector_matches(pods, &pod.labels)
        }
        // "all pods in the namespaces selected by namespaceSelector"
        (Some(namespaces), None) => selector_matches(namespaces, &pod.namespace_labels),
        // "the pods matching podSelector in the policy's own namespace"
        (None, Some(pods)) => pod.namespace == policy_namespace && selector_matches(pods, &pod.labels),
        (None, None) => panic!("a peer of nothing"),
    }
}

/// "The port on the given protocol. This can either be a numerical or named port on a pod. If this field is not
/// provided, this matches all port names and numbers. If present, only traffic on the specified protocol AND port
/// will be matched." "protocol … defaults to TCP". "endPort: the range of ports from port to endPort, inclusive".
fn port_matches(item: &Value, protocol: Protocol, port: Option<u16>, destination: Option<&ApiPod>) -> bool {
    let wanted = match item["protocol"].as_str() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        other => panic!("protocol {other:?}"),
    };
    if wanted != protocol {
        return false;
    }
    match (&item["port"], port) {
        (Value::Null, _) => true,
        (_, None) => false,
        (Value::String(name), Some(port)) => destination.is_some_and(|pod| {
            pod.ports.iter().any(|(its, of, number)| its == name && *of == protocol && *number == port)
        }),
        (first, Some(port)) => {
            let first = first.as_u64().expect("a port");
            let last = item["endPort"].as_u64().unwrap_or(first);
            first <= u64::from(port) && u64::from(port) <= last
        }
    }
}

/// Bit by bit, from the text of a CIDR.
fn is_in(cidr: &Value, address: IpAddr) -> bool {
    let (network, length) = cidr.as_str().expect("a CIDR").split_once('/').expect("a CIDR");
    let length: usize = length.parse().expect("a length");
    let network: IpAddr = network.parse().expect("an address");
    network.is_ipv4() == address.is_ipv4() && bits(network)[..length] == bits(address)[..length]
}

fn bits(address: IpAddr) -> Vec<bool> {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    bytes.into_iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1)).collect()
}
