//! Which policies select a pod. Pods that the same policies select share one set, and one compiled table; but for
//! pods that mean different ports by a name that an ingress rule of those policies asks for.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use palomar_model::attribution::PolicyRef;
use palomar_model::labels::Labels;
use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_model::ports::NamedPorts;
use palomar_model::verdict::Direction;
use palomar_model::world::{Pod, World};

use crate::decide::selects;
use crate::subject::Subject;

/// The policies that select a pod, sorted by name, and what the pod means by the names of ports in their ingress
/// rules. Equal when the contents are equal, wherever they were read from; cheap to clone, compare and hash. Empty:
/// no policy, nothing is isolated.
#[derive(Clone)]
pub struct PolicySet {
    policies: Arc<[Arc<NetworkPolicy>]>,
    named_ports: NamedPorts,
    digest: u64,
}

/// The policies of the world that select a pod. A host-network pod is selected by none: it has no interface of its
/// own, and Kubernetes leaves open what policies mean for it.
pub fn select(world: &World, pod: &Pod) -> PolicySet {
    if pod.host_network {
        return PolicySet::default();
    }
    select_subject(
        world,
        Subject {
            namespace: &pod.name.namespace,
            namespace_labels: &Labels::new(),
            pod_labels: &pod.labels,
            named_ports: &pod.named_ports,
        },
    )
}

/// The policies of the world that select this pod. The labels of its namespace are not looked at.
pub fn select_subject(world: &World, pod: Subject<'_>) -> PolicySet {
    let selecting =
        policies_of_namespace(world, pod.namespace).filter(|policy| selects(policy, pod)).cloned();
    PolicySet::new(selecting, pod.named_ports)
}

/// The policies of a namespace, by name.
pub fn policies_of_namespace<'w>(
    world: &'w World,
    namespace: &str,
) -> impl Iterator<Item = &'w Arc<NetworkPolicy>> {
    let policies = world.policies.starting_at(&ObjectName::new(namespace, ""));
    policies.map(|(_, policy)| policy).take_while(move |policy| policy.name.namespace == namespace)
}

// === impl PolicySet ===

impl PolicySet {
    /// These policies in any order; of those with the same name the last one counts. Of `named_ports`, the pod's, those
    /// are kept that an ingress rule asks for.
    pub fn new(policies: impl IntoIterator<Item = Arc<NetworkPolicy>>, named_ports: &NamedPorts) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.reverse();
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        policies.dedup_by(|later, first| later.name == first.name);
        let named_ports = named_ports.only(|port| {
            let ingress = policies.iter().filter_map(|policy| policy.ingress.as_deref()).flatten();
            ingress.flat_map(|rule| &rule.ports).any(|rule| rule.asks_for(port))
        });
        // Names suffice: sets of the same names differ only where a policy has just changed, and pods rarely differ
        // in their ports alone.
        let mut hasher = DefaultHasher::new();
        for policy in &policies {
            policy.name.hash(&mut hasher);
        }
        Self { policies: policies.into(), named_ports, digest: hasher.finish() }
    }

    /// What the pod means by the names of ports that ingress rules ask for.
    pub fn named_ports(&self) -> &NamedPorts {
        &self.named_ports
    }

    /// The policies, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<NetworkPolicy>> {
        self.policies.iter()
    }

    /// How many policies.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether no policy selects.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Whether some policy isolates this direction: only what a rule allows passes.
    pub fn isolates(&self, direction: Direction) -> bool {
        self.iter().any(|policy| policy.rules(direction).is_some())
    }

    /// The policies that isolate this direction, sorted: what a default deny is attributed to.
    pub fn isolating_policies(&self, direction: Direction) -> Vec<PolicyRef> {
        self.iter()
            .filter(|policy| policy.rules(direction).is_some())
            .map(|policy| PolicyRef::network_policy(policy.name.clone()))
            .collect()
    }
}

/// As [`PolicySet::new`], for a pod without named ports.
impl FromIterator<Arc<NetworkPolicy>> for PolicySet {
    fn from_iter<I: IntoIterator<Item = Arc<NetworkPolicy>>>(policies: I) -> Self {
        Self::new(policies, &NamedPorts::default())
    }
}

impl Default for PolicySet {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl PartialEq for PolicySet {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.named_ports == other.named_ports
            && (Arc::ptr_eq(&self.policies, &other.policies) || self.policies == other.policies)
    }
}

impl Eq for PolicySet {}

impl Hash for PolicySet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// The names alone.
impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|policy| policy.name.to_string())).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use palomar_model::netpol::{PortRule, Ports, Rule};
    use palomar_model::packet::Protocol;
    use palomar_model::ports::NamedPort;
    use palomar_model::selector::Selector;

    use super::*;

    fn policy(namespace: &str, name: &str, selector: Selector) -> Arc<NetworkPolicy> {
        Arc::new(NetworkPolicy {
            name: ObjectName::new(namespace, name),
            pod_selector: selector,
            ingress: Some(Vec::new()),
            egress: None,
        })
    }

    fn pod(namespace: &str, app: &str, host_network: bool) -> Pod {
        Pod {
            labels: Labels::from([("app".into(), app.into())]),
            host_network,
            ..Pod::new(ObjectName::new(namespace, app))
        }
    }

    fn names(set: &PolicySet) -> Vec<String> {
        set.iter().map(|policy| policy.name.to_string()).collect()
    }

    #[test]
    fn a_pod_is_selected_by_the_policies_of_its_namespace_that_match_its_labels() {
        let mut world = World::default();
        for policy in [
            policy("a", "web", Selector::of_labels([("app", "web")])),
            policy("a", "all", Selector::default()),
            policy("a-b", "all", Selector::default()),
            policy("b", "all", Selector::default()),
        ] {
            world.policies.insert(policy.name.clone(), policy);
        }
        let table = [
            ("both, sorted", pod("a", "web", false), vec!["a/all", "a/web"]),
            ("the empty selector alone", pod("a", "db", false), vec!["a/all"]),
            ("a namespace whose name begins alike", pod("a-b", "web", false), vec!["a-b/all"]),
            ("a namespace without policies", pod("c", "web", false), vec![]),
            ("a host-network pod", pod("a", "web", true), vec![]),
        ];
        for (name, pod, expected) in table {
            assert_eq!(names(&select(&world, &pod)), expected, "{name}");
        }
    }

    #[test]
    fn pods_share_a_set_unless_they_differ_in_a_port_that_an_ingress_rule_names() {
        let port = |name: &str, number| NamedPort { name: name.into(), protocol: Protocol::Tcp, number };
        let rule = |name: &str| {
            let ports = vec![PortRule { protocol: Protocol::Tcp, ports: Ports::Named(name.into()) }];
            Some(vec![Rule { peers: Vec::new(), ports }])
        };
        let asking = Arc::new(NetworkPolicy {
            ingress: rule("http"),
            egress: rule("metrics"),
            ..(*policy("a", "x", Selector::default())).clone()
        });
        let set =
            |ports: &[NamedPort]| PolicySet::new([Arc::clone(&asking)], &ports.iter().cloned().collect());
        let table = [
            ("the same ports", vec![port("http", 80), port("metrics", 9)], true),
            ("another number of the name", vec![port("http", 81)], false),
            ("no such name", vec![], false),
            ("another number of a name that only egress asks for", vec![port("http", 80)], true),
            ("one more name", vec![port("http", 80), port("admin", 7)], true),
        ];
        let first = set(&[port("http", 80), port("metrics", 9)]);
        for (name, ports, same) in table {
            assert_eq!(set(&ports) == first, same, "{name}");
        }
    }

    #[test]
    fn sets_are_equal_by_content_and_differ_when_a_rule_changes() {
        let one = PolicySet::from_iter([
            policy("a", "x", Selector::default()),
            policy("a", "y", Selector::default()),
        ]);
        let same = PolicySet::from_iter([
            policy("a", "y", Selector::default()),
            policy("a", "x", Selector::default()),
        ]);
        let changed = Arc::new(NetworkPolicy {
            egress: Some(Vec::new()),
            ..(*policy("a", "x", Selector::default())).clone()
        });
        let other = PolicySet::from_iter([changed, policy("a", "y", Selector::default())]);
        assert_eq!(HashSet::from([one.clone(), same, other.clone()]).len(), 2);
        assert!(!one.isolates(Direction::Egress) && other.isolates(Direction::Egress));
        let isolating = other.isolating_policies(Direction::Egress);
        assert_eq!(isolating, [PolicyRef::network_policy(ObjectName::new("a", "x"))]);
    }
}
