//! One policy: what it says, which pods it selects, and what became of it in the kernel.

use anyhow::{Result, bail};
use palomar_model::netpol::{NetworkPolicy, Peer, Rule};
use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;
use palomar_model::world::{Pod, Stage, World};
use palomar_policy::selects_pod;
use palomar_policy::yaml::{Marked, to_yaml};
use palomar_proto::palomar::v1::Endpoint;
use serde_json::{Value, json};

use super::basis::Basis;
use super::list::{Hits, isolating, or_any, peers, ports, shown};
use super::manifests::counted;
use crate::palomar_api::{Output, print_json};
use crate::render::Columns;
use crate::render::escape::escape;
use crate::status::agent::mode_name;
use crate::surroundings::Surroundings;

/// Prints a policy of the agent's objects. `endpoints` are the pods of the agent's node.
pub fn print(
    name: &ObjectName,
    endpoints: &[Endpoint],
    basis: &Basis,
    output: Output,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let world = &basis.manifests.world;
    let Some(policy) = world.policies.get(name) else { bail!("{name}: there is no such policy") };
    let sheet = Sheet { policy, pods: Selected::by(policy, endpoints, world), world, basis };
    match output {
        Output::Json => print_json(&sheet.to_json(), surroundings),
        Output::Table => sheet.print(surroundings),
    }
}

struct Sheet<'a> {
    policy: &'a NetworkPolicy,
    pods: Vec<Selected<'a>>,
    world: &'a World,
    basis: &'a Basis,
}

/// A pod that the policy selects.
struct Selected<'a> {
    pod: &'a Pod,
    /// It, if it is of the agent's node.
    endpoint: Option<&'a Endpoint>,
}

// === impl Selected ===

impl<'a> Selected<'a> {
    /// Those of the agent's node first.
    fn by(policy: &NetworkPolicy, endpoints: &'a [Endpoint], world: &'a World) -> Vec<Self> {
        let pods = world.pods.values().filter(|pod| {
            pod.name.namespace == policy.name.namespace && policy.pod_selector.matches(&pod.labels)
        });
        let mut selected: Vec<Self> = pods
            .map(|pod| {
                let is_it = |endpoint: &&Endpoint| {
                    endpoint.namespace == pod.name.namespace && endpoint.pod_name == pod.name.name
                };
                Self { pod, endpoint: endpoints.iter().find(is_it) }
            })
            .collect();
        selected.sort_by_key(|selected| selected.endpoint.is_none());
        selected
    }

    /// The directions in which the kernel has the policy for it.
    fn held(&self, policy: &ObjectName) -> Vec<Direction> {
        let Some(endpoint) = self.endpoint else { return Vec::new() };
        let has = |direction: &Direction| {
            isolating(endpoint, *direction).is_some_and(|policies| policies.contains(policy))
        };
        Direction::BOTH.into_iter().filter(has).collect()
    }

    /// Why it is not held for it, in words; `None` where it is.
    fn why_not(&self, policy: &NetworkPolicy) -> Option<String> {
        let wanted = Direction::BOTH.into_iter().filter(|direction| policy.rules(*direction).is_some());
        match self.endpoint {
            Some(_) if self.held(&policy.name).len() == wanted.count() => None,
            Some(_) => Some("the kernel does not hold it yet".to_owned()),
            None if self.pod.stage == Stage::Ended => Some("has ended".to_owned()),
            None if self.pod.host_network => {
                Some("shares its node's network: no policy isolates it".to_owned())
            }
            None if self.pod.node.is_empty() => {
                Some("is on no node yet, or the objects do not say".to_owned())
            }
            None => Some(format!("on node {}, or not seen (palomar endpoint list)", self.pod.node)),
        }
    }
}

// === impl Sheet ===

impl Sheet<'_> {
    fn print(&self, surroundings: &mut Surroundings<'_>) -> Result<()> {
        let out = &mut *surroundings.out;
        writeln!(out, "{}", self.title())?;
        writeln!(out, "{}", self.summary())?;
        let mut table = Columns::default();
        table.line(&["DIRECTION", "RULE", "PEERS", "PODS", "PORTS", "ALLOWED", "DENIED"]);
        for direction in Direction::BOTH {
            self.rules(direction, &mut table);
        }
        writeln!(out)?;
        table.write(out)?;
        if !self.pods.is_empty() {
            writeln!(out)?;
            self.table_of_pods().write(out)?;
        }
        writeln!(out)?;
        Ok(out.write_all(to_yaml(self.policy, &Marked::default()).as_bytes())?)
    }

    /// `NetworkPolicy shop/web (policies.yaml:3), in force since …`
    fn title(&self) -> String {
        let name = &self.policy.name;
        let place = self.basis.manifests.policy(name).map(|place| format!(" ({place})")).unwrap_or_default();
        let since = self.basis.in_force_since(name).map(|since| format!(", in force since {since}"));
        format!("NetworkPolicy {name}{place}{}", since.unwrap_or_default())
    }

    /// `Isolates ingress of podSelector app=web: 2 pods, 1 of the agent's node`
    fn summary(&self) -> String {
        let directions: Vec<&str> =
            Direction::BOTH.into_iter().filter(|one| self.policy.rules(*one).is_some()).map(word).collect();
        let selector = &self.policy.pod_selector;
        let pods = if selector.requirements.is_empty() {
            "every pod of the namespace".to_owned()
        } else {
            format!("podSelector {selector}")
        };
        let here = self.pods.iter().filter(|selected| selected.endpoint.is_some()).count();
        let all = counted(self.pods.len(), "pod");
        format!("Isolates {} of {pods}: {all}, {here} of the agent's node", directions.join(" and "))
    }

    fn rules(&self, direction: Direction, table: &mut Columns) {
        let Some(rules) = self.policy.rules(direction) else { return };
        let denied = shown(self.denied(direction));
        if rules.is_empty() {
            table.line(&[word(direction), "-", "none", "-", "none", "-", &denied]);
        }
        for (number, rule) in rules.iter().enumerate() {
            table.line(&[
                word(direction),
                &number.to_string(),
                &escape(&or_any(&peers(rule), " or ")),
                &self.peer_pods(rule).map_or_else(|| "-".to_owned(), |pods| pods.to_string()),
                &escape(&or_any(&ports(rule), ",")),
                &shown(self.allowed(direction, number)),
                if number == 0 { &denied } else { "-" },
            ]);
        }
    }

    fn table_of_pods(&self) -> Columns {
        let mut table = Columns::default();
        table.line(&["POD", "NODE", "IN FORCE", "MODE", "SET", "REVISION", "NOTES"]);
        for selected in &self.pods {
            let held: Vec<&str> = selected.held(&self.policy.name).into_iter().map(word).collect();
            let held = if held.is_empty() { "-".to_owned() } else { held.join(",") };
            let of_kernel = |told: fn(&Endpoint) -> String| selected.endpoint.map_or("-".to_owned(), told);
            table.line(&[
                &escape(&selected.pod.name.to_string()),
                &escape(if selected.pod.node.is_empty() { "-" } else { &selected.pod.node }),
                &held,
                &of_kernel(|endpoint| mode_name(endpoint.mode).to_owned()),
                &of_kernel(|endpoint| endpoint.policy_set.to_string()),
                &of_kernel(|endpoint| endpoint.policy_revision.to_string()),
                &escape(&selected.why_not(self.policy).unwrap_or_else(|| "-".to_owned())),
            ]);
        }
        table
    }

    /// How many pods the selectors of a rule select; `None` where it has none.
    fn peer_pods(&self, rule: &Rule) -> Option<usize> {
        rule.peers.iter().find(|peer| matches!(peer, Peer::Pods { .. }))?;
        let own = &self.policy.name.namespace;
        let is_selected = |pod: &Pod| rule.peers.iter().any(|peer| selects_pod(self.world, peer, own, pod));
        let pods = self.world.pods.values().filter(|pod| is_selected(pod));
        Some(pods.count())
    }

    /// Connections that a rule allowed at all pods of the node; `None` where the agent does not count.
    fn allowed(&self, direction: Direction, number: usize) -> Option<u64> {
        self.sum(|endpoint| Hits::of(endpoint, direction).allowed(&self.policy.name, number))
    }

    /// Denials while the policy isolated, at all pods of the node.
    fn denied(&self, direction: Direction) -> Option<u64> {
        self.sum(|endpoint| Hits::of(endpoint, direction).denied(&self.policy.name))
    }

    fn sum(&self, count: impl Fn(&Endpoint) -> Option<u64>) -> Option<u64> {
        let counts = self.pods.iter().filter_map(|selected| count(selected.endpoint?));
        counts.fold(None, |sum, count| Some(sum.unwrap_or(0) + count))
    }

    fn to_json(&self) -> Value {
        let name = &self.policy.name;
        let place = self.basis.manifests.policy(name);
        json!({ "policy": {
            "namespace": name.namespace,
            "name": name.name,
            "file": place.map(|place| &place.file),
            "line": place.map(|place| place.line),
            "in_force_since": self.basis.in_force_since(name),
            "pod_selector": self.policy.pod_selector.to_string(),
            "ingress": self.direction(Direction::Ingress),
            "egress": self.direction(Direction::Egress),
            "pods": self.pods.iter().map(|selected| self.pod(selected)).collect::<Vec<_>>(),
            "yaml": to_yaml(self.policy, &Marked::default()),
        } })
    }

    fn direction(&self, direction: Direction) -> Value {
        let rules = self.policy.rules(direction).map(|rules| {
            let rule = |(number, rule): (usize, &Rule)| {
                json!({
                    "rule": number, "peers": peers(rule), "pods": self.peer_pods(rule), "ports": ports(rule),
                    "allowed": self.allowed(direction, number),
                })
            };
            rules.iter().enumerate().map(rule).collect::<Vec<_>>()
        });
        let denied = self.denied(direction).filter(|_| rules.is_some());
        json!({ "isolates": rules.is_some(), "rules": rules.unwrap_or_default(), "denied": denied })
    }

    fn pod(&self, selected: &Selected<'_>) -> Value {
        let held = selected.held(&self.policy.name).into_iter().map(word);
        json!({
            "namespace": selected.pod.name.namespace,
            "name": selected.pod.name.name,
            "node": selected.pod.node,
            "is_of_agents_node": selected.endpoint.is_some(),
            "in_force": held.collect::<Vec<_>>(),
            "mode": selected.endpoint.map(|endpoint| mode_name(endpoint.mode)),
            "policy_set": selected.endpoint.map(|endpoint| endpoint.policy_set),
            "policy_revision": selected.endpoint.map(|endpoint| endpoint.policy_revision),
            "why_not": selected.why_not(self.policy),
        })
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}
