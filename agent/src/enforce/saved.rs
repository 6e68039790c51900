//! What must outlive the agent, so that the next one understands the numbers in the kernel.

use ipnet::IpNet;
use palomar_model::attribution::PolicyRef;
use palomar_model::netpol::IpBlock;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use palomar_policy::rule_sets::SavedRuleSets;
use palomar_policy::{CidrClass, ClassTable, RuleSet, RuleSets};
use serde::{Deserialize, Serialize};

use super::attribution::Isolating;

/// The numbers in use, as plain data.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The newest policy revision given.
    pub revision: u32,
    /// The number that the next new policy set gets.
    pub next_set: u32,
    /// The rule sets.
    pub rule_sets: Option<SavedRuleSets>,
    /// The policy sets.
    pub sets: Vec<SavedSet>,
    /// The number that the next new CIDR class gets.
    pub next_class: u32,
    /// The CIDR classes.
    pub classes: Vec<SavedClass>,
}

/// One policy set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSet {
    /// Its number.
    pub id: u32,
    /// The policies that isolate ingress: namespace and name.
    pub ingress: Vec<(String, String)>,
    /// The policies that isolate egress: namespace and name.
    pub egress: Vec<(String, String)>,
}

/// One CIDR class.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedClass {
    /// Its number.
    pub id: u32,
    /// Its blocks: the range, and the ranges that are not part of it.
    pub blocks: Vec<(IpNet, Vec<IpNet>)>,
    /// The named ports of its pods that policies ask for: name, IP protocol and number; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_ports: Vec<(String, u8, u16)>,
}

/// The numbers in use at one moment; cheap to make and to keep. What takes time is to make [`Saved`] of it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) revision: u32,
    pub(super) next_set: u32,
    pub(super) isolating: SharedMap<u32, Isolating>,
    pub(super) next_rule_set: u32,
    pub(super) rule_sets: SharedMap<u32, RuleSet>,
    pub(super) next_class: u32,
    pub(super) classes: SharedMap<u32, CidrClass>,
}

impl From<Snapshot> for Saved {
    fn from(snapshot: Snapshot) -> Self {
        let names = |policies: &[PolicyRef]| {
            policies.iter().map(|policy| (policy.name.namespace.clone(), policy.name.name.clone())).collect()
        };
        let sets = snapshot.isolating.iter().map(|(id, [ingress, egress])| SavedSet {
            id: *id,
            ingress: names(ingress),
            egress: names(egress),
        });
        Self {
            revision: snapshot.revision,
            next_set: snapshot.next_set,
            rule_sets: Some(SavedRuleSets::new(snapshot.next_rule_set, &snapshot.rule_sets)),
            sets: sets.collect(),
            next_class: snapshot.next_class,
            classes: snapshot.classes.iter().map(|(id, class)| SavedClass::new(*id, class)).collect(),
        }
    }
}

impl Saved {
    /// The class table as it was. Classes that were not saved are never given again: numbers begin above
    /// `greatest`, the greatest that the kernel uses.
    pub(super) fn class_table(&self, greatest: u32) -> ClassTable {
        let classes = self.classes.iter().map(|class| {
            let blocks =
                class.blocks.iter().map(|(cidr, except)| IpBlock { cidr: *cidr, except: except.clone() });
            let ports = class.named_ports.iter().map(|(name, protocol, number)| NamedPort {
                name: name.clone(),
                protocol: Protocol::from_number(*protocol),
                number: *number,
            });
            (class.id, blocks.collect(), ports.collect())
        });
        ClassTable::restore(self.next_class.max(greatest + 1), classes).unwrap_or_else(|| {
            tracing::warn!("saved CIDR classes contradict each other: numbering afresh above {greatest}");
            ClassTable::restore(greatest + 1, []).expect("invariant: no classes cannot contradict each other")
        })
    }

    /// The rule sets as they were; numbers begin above `greatest` where nothing usable was saved.
    pub(super) fn rule_sets(&self, greatest: u32) -> RuleSets {
        let mut saved = self.rule_sets.clone().unwrap_or(SavedRuleSets { next: 1, sets: Vec::new() });
        saved.next = saved.next.max(greatest + 1);
        RuleSets::restore(saved).unwrap_or_else(|error| {
            tracing::warn!(%error, "saved rule sets cannot be used: numbering afresh above {greatest}");
            let fresh = SavedRuleSets { next: greatest + 1, sets: Vec::new() };
            RuleSets::restore(fresh).expect("invariant: no rule sets cannot contradict each other")
        })
    }
}

impl SavedClass {
    fn new(id: u32, class: &CidrClass) -> Self {
        let CidrClass { blocks, named_ports } = class;
        let ports = named_ports.iter().map(|port| (port.name.clone(), port.protocol.number(), port.number));
        Self {
            id,
            blocks: blocks.iter().map(|block| (block.cidr, block.except.clone())).collect(),
            named_ports: ports.collect(),
        }
    }
}

impl SavedSet {
    /// The policies that isolate a direction.
    pub(super) fn isolating(&self, direction: Direction) -> Vec<PolicyRef> {
        let names = match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        };
        names
            .iter()
            .map(|(namespace, name)| PolicyRef::network_policy(ObjectName::new(namespace, name)))
            .collect()
    }
}
