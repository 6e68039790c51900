//! Which policies select a pod. Pods that the same policies select share one set, and one compiled table.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use palomar_model::attribution::PolicyRef;
use palomar_model::labels::Labels;
use palomar_model::netpol::NetworkPolicy;
use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;
use palomar_model::world::{Pod, World};

use crate::decide::selects;
use crate::subject::Subject;

/// The policies that select a pod, sorted by name. Equal when the policies' contents are equal, wherever they
/// were read from; cheap to clone, compare and hash. Empty: no policy, nothing is isolated.
#[derive(Clone)]
pub struct PolicySet {
    policies: Arc<[Arc<NetworkPolicy>]>,
    digest: u64,
}

/// The policies of the world that select a pod. A host-network pod is selected by none: it has no interface of its
/// own, and Kubernetes leaves open what policies mean for it.
pub fn select(world: &World, pod: &Pod) -> PolicySet {
    if pod.host_network {
        return PolicySet::default();
    }
    select_labels(world, &pod.name.namespace, &pod.labels)
}

/// The policies of the world that select a pod of this namespace with these labels.
pub fn select_labels(world: &World, namespace: &str, pod_labels: &Labels) -> PolicySet {
    let subject = Subject { namespace, namespace_labels: &Labels::new(), pod_labels };
    let first = ObjectName::new(namespace, "");
    world
        .policies
        .range((Bound::Included(first), Bound::Unbounded))
        .map(|(_, policy)| policy)
        .take_while(|policy| policy.name.namespace == namespace)
        .filter(|policy| selects(policy, subject))
        .cloned()
        .collect()
}

// === impl PolicySet ===

impl PolicySet {
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

/// In any order; of policies with the same name the last one counts.
impl FromIterator<Arc<NetworkPolicy>> for PolicySet {
    fn from_iter<I: IntoIterator<Item = Arc<NetworkPolicy>>>(policies: I) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.reverse();
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        policies.dedup_by(|later, first| later.name == first.name);
        // Names suffice: sets of the same names differ only where a policy has just changed.
        let mut hasher = DefaultHasher::new();
        for policy in &policies {
            policy.name.hash(&mut hasher);
        }
        Self { policies: policies.into(), digest: hasher.finish() }
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
            name: ObjectName::new(namespace, app),
            uid: String::new(),
            labels: Labels::from([("app".into(), app.into())]),
            service_account: "default".into(),
            node: String::new(),
            host_network,
            addresses: Vec::new(),
            workload: None,
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
