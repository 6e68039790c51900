//! The smallest change that would allow a connection: the fewest added peers and ports, and of changes of one size the
//! one that opens least besides.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use palomar_model::identity::PER_REPLICA_LABELS;
use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, PortRule, Ports, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::selector::{Requirement, Selector};
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use palomar_model::world::{Pod, World};

use super::answer::Verdict;
use super::index::Index;
use super::party::{Party, Standing};
use super::path::Path;
use super::peer::{Match, PeerFacts, Side};
use super::rules::{has_port, verdict_under};
use super::{Explanation, clause};
use crate::decide::selects;
use crate::subject::selects_pod;
use crate::yaml::{Marked, to_yaml};

/// A change to a set of policies. Never empty; without any one of its edits the connection would still be denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is to be done, in this order.
    pub edits: Vec<Edit>,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// One more peer in a rule.
    AddPeer {
        /// The policy.
        policy: ObjectName,
        /// The list that the rule stands in.
        direction: Direction,
        /// The rule's index there.
        rule: u32,
        /// The peer, to stand last.
        peer: Peer,
    },
    /// One more port in a rule.
    AddPort {
        /// The policy.
        policy: ObjectName,
        /// The list that the rule stands in.
        direction: Direction,
        /// The rule's index there.
        rule: u32,
        /// The port, to stand last.
        port: PortRule,
    },
    /// A policy more, of one rule.
    AddPolicy(NetworkPolicy),
}

/// Policies by name.
type Policies = SharedMap<ObjectName, Arc<NetworkPolicy>>;

/// The change that would allow every way that the connection may take. `None`: it is allowed, or facts are missing;
/// among them the address that a pod sees of somebody who is no pod, and comes by way of a service.
pub fn smallest_change(
    index: &Index<'_>,
    protocol: Protocol,
    explanation: &Explanation<'_>,
) -> Option<Change> {
    let paths: Vec<Path<'_>> = explanation.paths.iter().map(|path| path.path).collect();
    let is_known = explanation.paths.iter().all(|path| {
        let sides = [&path.egress, &path.ingress];
        sides.iter().all(|side| side.answer.verdict != Verdict::Undecidable)
    });
    if !is_known || explanation.paths.iter().all(|path| path.verdict == Verdict::Allowed) {
        return None;
    }
    let questions: Vec<(Side<'_, '_>, Option<u16>)> = paths
        .iter()
        .flat_map(|path| Direction::BOTH.map(|direction| (path, direction)))
        .filter_map(|(path, direction)| Some((Side::of(index, path, direction)?, path.peer(direction).1)))
        .collect();
    let base = &index.world().policies;
    let is_allowed = |policies: &Policies, (side, port): &(Side<'_, '_>, Option<u16>)| {
        verdict_under(policies.values().map(AsRef::as_ref), side, protocol, *port) == Verdict::Allowed
    };
    let mut policies = base.clone();
    let mut edits = Vec::new();
    for question in &questions {
        if !is_allowed(&policies, question) {
            let edit = edit(index.world(), &policies, &question.0, protocol, question.1)?;
            edit.apply(&mut policies);
            edits.push(edit);
        }
    }
    // What a later edit opened may make an earlier one needless.
    for at in (0..edits.len()).rev() {
        let mut without = base.clone();
        let rest = edits.iter().enumerate().filter(|(other, _)| *other != at);
        rest.for_each(|(_, edit)| edit.apply(&mut without));
        if questions.iter().all(|question| is_allowed(&without, question)) {
            edits.remove(at);
        }
    }
    (!edits.is_empty()).then_some(Change { edits })
}

/// The smallest edit that allows one side.
fn edit(
    world: &World,
    policies: &Policies,
    side: &Side<'_, '_>,
    protocol: Protocol,
    port: Option<u16>,
) -> Option<Edit> {
    let peer = peer_for(&side.peer, side.endpoint.namespace);
    let wanted_port = port
        .filter(|_| protocol.has_ports())
        .map(|port| PortRule { protocol, ports: Ports::Range(port, port) });
    let isolating: Vec<&NetworkPolicy> = policies
        .values()
        .map(AsRef::as_ref)
        .filter(|policy| selects(policy, side.endpoint) && policy.rules(side.direction).is_some())
        .collect();
    let mut best: Option<(u64, Edit)> = None;
    for policy in &isolating {
        let own = policy.name.namespace.as_str();
        for (number, rule) in (0..).zip(policy.rules(side.direction).unwrap_or_default()) {
            let is_reached = rule.peers.is_empty()
                || rule.peers.iter().any(|peer| side.peer.is_reached_by(peer, own) == Match::Yes);
            let is_port = has_port(rule, clause::named_ports(side), protocol, port);
            let (name, direction, rule_index) = (policy.name.clone(), side.direction, number);
            let candidate = match (is_reached, is_port, &wanted_port, &peer) {
                (false, true, _, Some(peer)) => {
                    let edit =
                        Edit::AddPeer { policy: name, direction, rule: rule_index, peer: peer.clone() };
                    (ports_of(rule), edit)
                }
                (true, false, Some(port), _) => {
                    let edit =
                        Edit::AddPort { policy: name, direction, rule: rule_index, port: port.clone() };
                    (peers_of(world, rule, own), edit)
                }
                _ => continue,
            };
            if best.as_ref().is_none_or(|(least, _)| candidate.0 < *least) {
                best = Some(candidate);
            }
        }
    }
    if let Some((_, edit)) = best {
        return Some(edit);
    }
    let rule = Rule { peers: vec![peer?], ports: wanted_port.into_iter().collect() };
    Some(Edit::AddPolicy(new_policy(policies, isolating.first()?, side, rule, protocol, port)))
}

/// How many ports one more peer of a rule could reach.
fn ports_of(rule: &Rule) -> u64 {
    let of_port = |port: &PortRule| match &port.ports {
        Ports::Every => 1 << 16,
        Ports::Range(first, last) => u64::from(*last) - u64::from(*first) + 1,
        Ports::Named(_) => 1,
    };
    // No ports: all of every protocol.
    if rule.ports.is_empty() { 1 << 20 } else { rule.ports.iter().map(of_port).sum() }
}

/// How many peers could reach one more port of a rule, addresses beyond the cluster included.
fn peers_of(world: &World, rule: &Rule, own: &str) -> u64 {
    let of_peer = |peer: &Peer| match peer {
        Peer::Block(block) => {
            let length = if block.cidr.addr().is_ipv4() { 32 } else { 128 };
            1_u64.checked_shl(length - u32::from(block.cidr.prefix_len())).unwrap_or(u64::MAX)
        }
        Peer::Pods { .. } => count_of(world.pods.values().filter(|pod| selects_pod(world, peer, own, pod))),
    };
    if rule.peers.is_empty() {
        return u64::MAX;
    }
    rule.peers.iter().map(of_peer).fold(0, u64::saturating_add)
}

fn count_of(items: impl Iterator) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

/// The peer of a rule that stands for the other end and, as far as labels can tell, for nobody else. `None`: its
/// address would have to be known.
fn peer_for(peer: &PeerFacts<'_, '_>, own: &str) -> Option<Peer> {
    let Some(subject) = peer.subject else {
        return Some(Peer::Block(IpBlock { cidr: host(*peer.address.as_ref().ok()?), except: Vec::new() }));
    };
    let name = "kubernetes.io/metadata.name";
    let by_name = subject.namespace_labels.get(name).filter(|value| *value == subject.namespace);
    let namespaces = match by_name {
        _ if subject.namespace == own => None,
        Some(value) => Some(Selector::of_labels([(name, value.as_str())])),
        None => Some(selector_of(subject.namespace_labels)),
    };
    Some(Peer::Pods { namespaces, pods: Some(selector_of(subject.pod_labels)) })
}

fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// A selector of all labels but those that change with each replica.
fn selector_of(labels: &Labels) -> Selector {
    let lasting = labels.iter().filter(|(key, _)| !PER_REPLICA_LABELS.contains(&key.as_str()));
    Selector::of_labels(lasting.map(|(key, value)| (key.as_str(), value.as_str())))
}

/// A policy of one rule for the judged pod. It selects nobody whom `isolating` does not select as well, so that it
/// isolates nobody anew.
fn new_policy(
    policies: &Policies,
    isolating: &NetworkPolicy,
    side: &Side<'_, '_>,
    rule: Rule,
    protocol: Protocol,
    port: Option<u16>,
) -> NetworkPolicy {
    let mut pod_selector = selector_of(&side.pod.labels);
    let says = |key: &str| pod_selector.requirements.iter().any(|requirement| requirement.key() == key);
    let unsaid: Vec<Requirement> = isolating
        .pod_selector
        .requirements
        .iter()
        .filter(|requirement| !says(requirement.key()))
        .cloned()
        .collect();
    pod_selector.requirements.extend(unsaid);
    let (ingress, egress) = match side.direction {
        Direction::Ingress => (Some(vec![rule]), None),
        Direction::Egress => (None, Some(vec![rule])),
    };
    let name = free_name(policies, side, protocol, port);
    NetworkPolicy { name, pod_selector, ingress, egress }
}

/// `web-from-frontend-tcp-8080`, with a number behind it where that is taken.
fn free_name(policies: &Policies, side: &Side<'_, '_>, protocol: Protocol, port: Option<u16>) -> ObjectName {
    let word = match side.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let mut name = format!("{}-{word}-{}", short_name(side.pod), short_party(&side.peer.party));
    name.truncate(220);
    let protocol = protocol.to_string().to_lowercase().replace(' ', "-");
    let port = port.map(|port| format!("-{port}")).unwrap_or_default();
    let named =
        |suffix: &str| ObjectName::new(&side.pod.name.namespace, format!("{name}-{protocol}{port}{suffix}"));
    let numbered = (2..policies.len() + 3).map(|number| named(&format!("-{number}")));
    let mut candidates = std::iter::once(named("")).chain(numbered);
    candidates.find(|name| !policies.contains_key(name)).expect("invariant: more names than policies")
}

fn short_name(pod: &Pod) -> &str {
    pod.workload.as_ref().map_or(&pod.name.name, |workload| &workload.name)
}

fn short_party(party: &Party<'_>) -> String {
    match (party.standing, party.address) {
        (Standing::Pod(pod) | Standing::Node { name: _, pod: Some(pod) }, _) => short_name(pod).to_owned(),
        (
            Standing::Node { .. } | Standing::Masked | Standing::Service(_) | Standing::World,
            Some(address),
        ) => address.to_string().replace("::", "-x-").replace(':', "-").trim_matches('-').to_owned(),
        (Standing::Node { .. } | Standing::Masked | Standing::Service(_) | Standing::World, None) => {
            "world".to_owned()
        }
    }
}

// === impl Edit ===

impl Edit {
    /// The policy that is changed or made.
    pub fn policy(&self) -> &ObjectName {
        match self {
            Self::AddPeer { policy, .. } | Self::AddPort { policy, .. } => policy,
            Self::AddPolicy(policy) => &policy.name,
        }
    }

    /// Does it. A rule that is not there is left alone.
    pub fn apply(&self, policies: &mut SharedMap<ObjectName, Arc<NetworkPolicy>>) {
        match self {
            Self::AddPeer { policy, direction, rule, peer } => {
                if let Some(rule) = rule_in(policies, policy, *direction, *rule) {
                    rule.peers.push(peer.clone());
                }
            }
            Self::AddPort { policy, direction, rule, port } => {
                if let Some(rule) = rule_in(policies, policy, *direction, *rule) {
                    rule.ports.push(port.clone());
                }
            }
            Self::AddPolicy(policy) => {
                policies.insert(policy.name.clone(), Arc::new(policy.clone()));
            }
        }
    }
}

fn rule_in<'p>(
    policies: &'p mut Policies,
    name: &ObjectName,
    direction: Direction,
    index: u32,
) -> Option<&'p mut Rule> {
    let policy = Arc::make_mut(policies.get_mut(name)?);
    let rules = match direction {
        Direction::Ingress => policy.ingress.as_mut(),
        Direction::Egress => policy.egress.as_mut(),
    };
    rules?.get_mut(usize::try_from(index).ok()?)
}

// === impl Change ===

impl Change {
    /// Does all of it.
    pub fn apply(&self, policies: &mut SharedMap<ObjectName, Arc<NetworkPolicy>>) {
        self.edits.iter().for_each(|edit| edit.apply(policies));
    }

    /// Every policy that it changes or makes, as it is afterwards: YAML for kubectl or for a file of manifests, what was
    /// added to an existing policy marked by comments. `policies` are those before the change.
    pub fn to_yaml(&self, policies: &SharedMap<ObjectName, Arc<NetworkPolicy>>) -> String {
        let mut after = policies.clone();
        let mut marked: BTreeMap<&ObjectName, Marked> = BTreeMap::new();
        for edit in &self.edits {
            edit.apply(&mut after);
            let marks = marked.entry(edit.policy()).or_default();
            match edit {
                Edit::AddPeer { policy, direction, rule, peer: _ } => {
                    let last =
                        rule_in(&mut after, policy, *direction, *rule).map(|rule| rule.peers.len() - 1);
                    marks.peers.extend(last.map(|last| (*direction, at(*rule), last)));
                }
                Edit::AddPort { policy, direction, rule, port: _ } => {
                    let last =
                        rule_in(&mut after, policy, *direction, *rule).map(|rule| rule.ports.len() - 1);
                    marks.ports.extend(last.map(|last| (*direction, at(*rule), last)));
                }
                Edit::AddPolicy(_) => {}
            }
        }
        let changed = marked.iter().filter_map(|(name, marks)| Some(to_yaml(after.get(*name)?, marks)));
        changed.collect::<Vec<_>>().join("---\n")
    }
}

fn at(index: u32) -> usize {
    usize::try_from(index).expect("invariant: a usize holds at least 32 bits")
}
