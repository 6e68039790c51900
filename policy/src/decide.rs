//! The oracle: what `NetworkPolicy` says about one new connection. Naive on purpose; the compiled table and the
//! kernel must agree with it.

use std::net::IpAddr;

use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::netpol::{NetworkPolicy, Peer, Rule};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::verdict::Direction;

use crate::subject::Subject;

/// The first packet of a connection, as the judged endpoint sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// Towards the endpoint or from it.
    pub direction: Direction,
    /// The IP protocol.
    pub protocol: Protocol,
    /// Destination port. `None`: the protocol has none, or a fragment hides it; then only rules without ports
    /// allow.
    pub port: Option<u16>,
}

/// The other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerView<'a> {
    /// Who it is.
    pub kind: PeerKind<'a>,
    /// Its address as the endpoint's interface shows it: IPv4 as IPv4, never mapped into IPv6.
    pub address: IpAddr,
}

/// Who the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind<'a> {
    /// A pod with an address of its own: selectors and ipBlocks both reach it.
    Pod(Subject<'a>),
    /// The endpoint itself, through its own address.
    Itself,
    /// The node that the endpoint runs on; towards the endpoint, traffic that this node itself generated.
    OwnNode,
    /// Anything else: the world, another node, a host-network pod, a masqueraded source. Only ipBlocks reach it.
    Other,
}

/// What the policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No policy isolates the endpoint in this direction: everything passes.
    NotIsolated,
    /// Passes although the endpoint is isolated, whatever the rules.
    Exempt(Exemption),
    /// These rules allow it: at least one, sorted, without repeats.
    Allowed(Vec<RuleRef>),
    /// No rule allows it. These policies isolate the endpoint: at least one, sorted.
    Denied(Vec<PolicyRef>),
}

/// Traffic that is never a policy's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// A pod to its own address.
    Itself,
    /// From the node to a pod that runs on it.
    NodeToItsPod,
}

/// Judges one new connection of `endpoint`. `policies` may hold any policies of the cluster, in any order, each
/// once: those that do not select the endpoint are passed over.
pub fn decide<'p>(
    policies: impl IntoIterator<Item = &'p NetworkPolicy>,
    endpoint: Subject<'_>,
    peer: PeerView<'_>,
    traffic: Traffic,
) -> Decision {
    let none = NamedPorts::default();
    let named = match (traffic.direction, peer.kind) {
        (Direction::Ingress, _) => endpoint.named_ports,
        (Direction::Egress, PeerKind::Pod(pod)) => pod.named_ports,
        (Direction::Egress, PeerKind::Itself | PeerKind::OwnNode | PeerKind::Other) => &none,
    };
    let mut isolating = Vec::new();
    let mut allowing = Vec::new();
    for policy in policies.into_iter().filter(|policy| selects(policy, endpoint)) {
        let Some(rules) = policy.rules(traffic.direction) else { continue };
        isolating.push(PolicyRef::network_policy(policy.name.clone()));
        for (index, rule) in (0..).zip(rules) {
            if rule_allows(rule, &policy.name.namespace, peer, traffic, named) {
                allowing.push(RuleRef { policy: policy.name.clone(), direction: traffic.direction, index });
            }
        }
    }
    isolating.sort();
    allowing.sort();
    match (isolating.is_empty(), exemption(peer.kind, traffic.direction), allowing.is_empty()) {
        (true, _, _) => Decision::NotIsolated,
        (false, Some(exemption), _) => Decision::Exempt(exemption),
        (false, None, false) => Decision::Allowed(allowing),
        (false, None, true) => Decision::Denied(isolating),
    }
}

/// Whether the policy's `podSelector` selects the pod.
pub fn selects(policy: &NetworkPolicy, pod: Subject<'_>) -> bool {
    policy.name.namespace == pod.namespace && policy.pod_selector.matches(pod.pod_labels)
}

/// `named` are the named ports of the pod that is connected to.
fn rule_allows(
    rule: &Rule,
    own_namespace: &str,
    peer: PeerView<'_>,
    traffic: Traffic,
    named: &NamedPorts,
) -> bool {
    let peer_matches =
        rule.peers.is_empty() || rule.peers.iter().any(|candidate| reaches(candidate, own_namespace, peer));
    let port_matches = rule.ports.is_empty()
        || rule.ports.iter().any(|ports| ports.matches(traffic.protocol, traffic.port, named));
    peer_matches && port_matches
}

fn reaches(candidate: &Peer, own_namespace: &str, peer: PeerView<'_>) -> bool {
    match (candidate, peer.kind) {
        (Peer::Block(block), _) => block.contains(peer.address),
        (Peer::Pods { .. }, PeerKind::Pod(pod)) => pod.is_selected_by(candidate, own_namespace),
        (Peer::Pods { .. }, PeerKind::Itself | PeerKind::OwnNode | PeerKind::Other) => false,
    }
}

fn exemption(peer: PeerKind<'_>, direction: Direction) -> Option<Exemption> {
    match (peer, direction) {
        (PeerKind::Itself, _) => Some(Exemption::Itself),
        (PeerKind::OwnNode, Direction::Ingress) => Some(Exemption::NodeToItsPod),
        (PeerKind::OwnNode, Direction::Egress) | (PeerKind::Pod(_) | PeerKind::Other, _) => None,
    }
}

impl Decision {
    /// Whether the packet passes.
    pub fn passes(&self) -> bool {
        match self {
            Self::NotIsolated | Self::Exempt(_) | Self::Allowed(_) => true,
            Self::Denied(_) => false,
        }
    }

    /// The rules that allow it; empty unless [`Decision::Allowed`].
    pub fn rules(&self) -> &[RuleRef] {
        match self {
            Self::Allowed(rules) => rules,
            Self::NotIsolated | Self::Exempt(_) | Self::Denied(_) => &[],
        }
    }
}
