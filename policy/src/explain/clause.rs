//! The first clause of a rule that does not hold, with both sides' values.

use std::fmt;

use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, Peer, PortRule, Ports};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::selector::{Requirement, Selector};
use palomar_model::verdict::Direction;

use super::answer::shown_port;
use super::party::{Party, Standing};
use super::peer::{PeerFacts, Side};

/// A clause that does not hold. Prints as `from[0].podSelector role=frontend: the peer has role=backend`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Clause {
    /// Where it stands in its rule or policy, e.g. `from[0].podSelector`.
    pub field: String,
    /// What it asks for, e.g. `role=frontend`.
    pub wanted: String,
    /// What was there instead, e.g. `the peer has role=backend`.
    pub found: String,
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, wanted, found } = self;
        write!(f, "{field} {wanted}: {found}")
    }
}

/// Why a policy's `podSelector` does not select a pod; `None`: it does.
pub(super) fn of_pod_selector(selector: &Selector, labels: &Labels) -> Option<Clause> {
    let failed = first_failing(selector, labels)?;
    Some(Clause {
        field: "podSelector".to_owned(),
        wanted: failed.to_string(),
        found: format!("the pod has {}", labels_found(failed, labels)),
    })
}

/// Why a peer of a rule does not reach the other end, which it does not. `field` is the peer's place, e.g. `from[0]`.
pub(super) fn of_peer(candidate: &Peer, own: &str, peer: &PeerFacts<'_, '_>, field: &str) -> Clause {
    let at = |name: &str, wanted: String, found: String| Clause {
        field: format!("{field}.{name}"),
        wanted,
        found,
    };
    match candidate {
        Peer::Block(block) => {
            let (wanted, found) = block_failure(block, peer);
            at("ipBlock", wanted, found)
        }
        Peer::Pods { namespaces, pods } => {
            let selector = if pods.is_some() { "podSelector" } else { "namespaceSelector" };
            let (Some(subject), Some(namespace)) = (peer.subject, peer.namespace) else {
                return at(selector, selected(namespaces.as_ref(), pods.as_ref()), no_pod(&peer.party));
            };
            let failing = namespaces.as_ref().and_then(|selector| namespace.first_failing(selector));
            match failing {
                None if namespaces.is_none() && subject.namespace != own => at(
                    "podSelector",
                    format!("of namespace {own} (no namespaceSelector)"),
                    format!("the peer is in namespace {}", subject.namespace),
                ),
                Some(failed) => {
                    let found = labels_found(failed, subject.namespace_labels);
                    let found = format!("the peer's namespace {} has {found}", subject.namespace);
                    at("namespaceSelector", failed.to_string(), found)
                }
                None => {
                    let (wanted, found) =
                        pods.as_ref().map(|pods| failure(pods, subject.pod_labels)).unwrap_or_default();
                    at("podSelector", wanted, format!("the peer has {found}"))
                }
            }
        }
    }
}

/// Why none of a rule's ports is the one that is connected to.
pub(super) fn of_ports(
    rules: &[PortRule],
    side: &Side<'_, '_>,
    protocol: Protocol,
    port: Option<u16>,
) -> Clause {
    let named = named_ports(side);
    let wanted: Vec<String> = rules.iter().map(|rule| wanted_port(rule, named)).collect();
    let found = match port {
        Some(_) => format!("the connection goes to {}", shown_port(protocol, port)),
        None if matches!(side.peer.party.standing, Standing::Service(_)) => no_pod(&side.peer.party),
        None if protocol.has_ports() => format!("the port of the {protocol} packet is not known"),
        None => format!("{protocol} has no ports"),
    };
    Clause { field: "ports".to_owned(), wanted: wanted.join(", "), found }
}

/// The named ports of the pod that is connected to; `None` where it is no pod.
pub(super) fn named_ports<'a>(side: &Side<'a, '_>) -> Option<&'a NamedPorts> {
    match side.direction {
        Direction::Ingress => Some(side.endpoint.named_ports),
        Direction::Egress => side.peer.subject.map(|subject| subject.named_ports),
    }
}

fn wanted_port(rule: &PortRule, named: Option<&NamedPorts>) -> String {
    let Ports::Named(name) = &rule.ports else { return rule.to_string() };
    let Some(named) = named else { return format!("{rule} (which only a pod can have)") };
    let numbers: Vec<String> = named.numbers(name, rule.protocol).map(|number| number.to_string()).collect();
    if numbers.is_empty() {
        format!("{rule} (the pod has no {} port of that name)", rule.protocol)
    } else {
        format!("{rule} (the pod's {})", numbers.join(" and "))
    }
}

fn block_failure(block: &IpBlock, peer: &PeerFacts<'_, '_>) -> (String, String) {
    if matches!(peer.party.standing, Standing::Service(_)) {
        return (block.to_string(), no_pod(&peer.party));
    }
    let Ok(address) = peer.address else { return (block.to_string(), String::new()) };
    match block.except.iter().find(|except| except.contains(&address)) {
        Some(except) if block.cidr.contains(&address) => {
            (format!("{} except {except}", block.cidr), format!("the peer has {address}"))
        }
        _ => (block.cidr.to_string(), format!("the peer has {address}")),
    }
}

fn selected(namespaces: Option<&Selector>, pods: Option<&Selector>) -> String {
    let text = |selector: &Selector| {
        if selector.requirements.is_empty() { "any".to_owned() } else { selector.to_string() }
    };
    match (namespaces, pods) {
        (_, Some(pods)) => text(pods),
        (Some(namespaces), None) => text(namespaces),
        (None, None) => "any".to_owned(),
    }
}

fn no_pod(party: &Party<'_>) -> String {
    match party.standing {
        Standing::Node { name: _, pod: Some(pod) } => {
            format!("pod {} shares its node's network, and no selector reaches a node", pod.name)
        }
        Standing::Node { .. } => format!("the peer is {party}, which no selector reaches"),
        // A pod to itself by way of a service.
        Standing::Pod(_) => "the peer's address may be a node's, which no selector reaches".to_owned(),
        Standing::Masked => format!("the peer is {party}, and no selector reaches a node's address"),
        Standing::Service(_) => format!("nobody is known to answer for {party}"),
        Standing::World => format!("the peer {party} is no pod"),
    }
}

/// The first requirement that does not hold, and what the labels have instead.
fn failure(selector: &Selector, labels: &Labels) -> (String, String) {
    first_failing(selector, labels)
        .map(|failed| (failed.to_string(), labels_found(failed, labels)))
        .unwrap_or_default()
}

fn first_failing<'s>(selector: &'s Selector, labels: &Labels) -> Option<&'s Requirement> {
    selector.requirements.iter().find(|requirement| !requirement.matches(labels))
}

fn labels_found(failed: &Requirement, labels: &Labels) -> String {
    let key = failed.key();
    labels.get(key).map_or_else(|| format!("no label {key}"), |value| format!("{key}={value}"))
}
