//! Who decided, by the numbers that events carry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::labels::{Label, LabelSet};
use palomar_model::netpol::IpBlock;
use palomar_model::object::ObjectName;
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::{Direction, Verdict};
use palomar_policy::{CidrClass, RuleSet, cidr};

use crate::enrich::{Attribution, Attributions, Decision};

/// The policies that isolate ingress, and those that isolate egress; sorted.
pub type Isolating = [Arc<[PolicyRef]>; 2];

/// The policies behind rule set numbers and policy set numbers. Numbers never change their meaning, so an event of
/// a moment ago is explained by what was in force then. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AttributionTable {
    /// Rule set → the policies whose rules allow, sorted.
    pub allowing: SharedMap<u32, Arc<[PolicyRef]>>,
    /// Rule set → its rules, sorted.
    pub rules: SharedMap<u32, RuleSet>,
    /// Policy set → the policies that isolate ingress, and those that isolate egress; sorted.
    pub isolating: SharedMap<u32, Isolating>,
    /// CIDR class → its longest CIDR and `reserved:world`.
    pub class_labels: SharedMap<u32, LabelSet>,
}

impl AttributionTable {
    /// The policies whose rules are in these rule sets, 0 being none; `None` if a number is not known.
    pub fn allowing(&self, rule_sets: [u32; 2]) -> Option<Arc<[PolicyRef]>> {
        match rule_sets {
            [0, 0] => Some(Arc::default()),
            [one, 0] | [0, one] => self.allowing.get(&one).cloned(),
            [one, other] => {
                let one = self.allowing.get(&one)?;
                let other = self.allowing.get(&other)?;
                let union: BTreeSet<&PolicyRef> = one.iter().chain(other.iter()).collect();
                Some(union.into_iter().cloned().collect())
            }
        }
    }

    /// The rules of these rule sets, 0 being none, each once; `None` if a number is not known.
    pub fn rules(&self, rule_sets: [u32; 2]) -> Option<Vec<RuleRef>> {
        let mut all = BTreeSet::new();
        for number in rule_sets.into_iter().filter(|number| *number != 0) {
            all.extend(self.rules.get(&number)?.iter().cloned());
        }
        Some(all.into_iter().collect())
    }

    /// The policies of a policy set that isolate a direction; `None` for a number that is not known.
    pub fn isolating(&self, set: u32, direction: Direction) -> Option<&Arc<[PolicyRef]>> {
        let [ingress, egress] = self.isolating.get(&set)?;
        Some(match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        })
    }
}

/// Keeps the table up to date by what is different, and hands it out.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    table: AttributionTable,
    classes: SharedMap<u32, CidrClass>,
    shared: SharedAttributions,
}

impl Publisher {
    pub(super) fn publish(
        &mut self,
        rule_sets: &SharedMap<u32, RuleSet>,
        isolating: &SharedMap<u32, Isolating>,
        classes: &SharedMap<u32, CidrClass>,
    ) {
        let AttributionTable { allowing, rules, isolating: isolates, class_labels } = &mut self.table;
        for change in rules.changes(rule_sets) {
            let policies = change.after.map(|rules| {
                let names: BTreeSet<&ObjectName> = rules.iter().map(|rule| &rule.policy).collect();
                names.into_iter().cloned().map(PolicyRef::network_policy).collect()
            });
            put(allowing, *change.key, policies);
        }
        *rules = rule_sets.clone();
        *isolates = isolating.clone();
        for change in self.classes.changes(classes) {
            put(class_labels, *change.key, change.after.map(|class| labels_of(&class.blocks)));
        }
        self.classes = classes.clone();
        self.shared.store(self.table.clone());
    }

    pub(super) fn shared(&self) -> SharedAttributions {
        self.shared.clone()
    }
}

fn put<V: Clone>(map: &mut SharedMap<u32, V>, number: u32, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(number, value)),
        None => drop(map.remove(&number)),
    }
}

/// What flows show of an address of a class.
fn labels_of(blocks: &[IpBlock]) -> LabelSet {
    let cidr = cidr::longest_cidr(blocks).map(Label::cidr);
    LabelSet::new(cidr.into_iter().chain([Label::reserved("world")]).collect())
}

/// The newest table, shared between the control path, which replaces it, and the event path, which reads it.
#[derive(Debug, Clone, Default)]
pub struct SharedAttributions(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: ArcSwap<AttributionTable>,
    version: AtomicU64,
}

impl SharedAttributions {
    /// The newest table.
    pub fn load(&self) -> Arc<AttributionTable> {
        self.0.table.load_full()
    }

    fn store(&self, table: AttributionTable) {
        self.0.table.store(Arc::new(table));
        self.0.version.fetch_add(1, Ordering::Release);
    }
}

impl From<AttributionTable> for SharedAttributions {
    fn from(table: AttributionTable) -> Self {
        let shared = Self::default();
        shared.store(table);
        shared
    }
}

impl Attributions for SharedAttributions {
    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    fn attribute(&self, decision: &Decision) -> Attribution {
        let table = self.0.table.load();
        let policies = match decision.verdict {
            Verdict::Forwarded => table.allowing([decision.rule_set, decision.class_rule_set]),
            Verdict::Dropped | Verdict::Audit => {
                table.isolating(decision.policy_set, decision.direction).cloned()
            }
        };
        policies.map_or(Attribution::Withheld, Attribution::Policies)
    }

    fn rules(&self, rule_sets: [u32; 2]) -> Option<Vec<RuleRef>> {
        self.0.table.load().rules(rule_sets)
    }

    fn class_labels(&self, class: u32) -> Option<LabelSet> {
        self.0.table.load().class_labels.get(&class).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(names: &[&str]) -> Arc<[PolicyRef]> {
        names.iter().map(|name| PolicyRef::network_policy(ObjectName::new("demo", *name))).collect()
    }

    #[test]
    fn a_verdict_is_attributed_by_its_numbers_and_withheld_where_a_number_is_unknown() {
        let shared = SharedAttributions::default();
        shared.store(AttributionTable {
            allowing: SharedMap::from([(1, policies(&["a", "b"])), (2, policies(&["b", "c"]))]),
            isolating: SharedMap::from([(9, [policies(&["in"]), policies(&["out"])])]),
            ..AttributionTable::default()
        });
        let ask = |verdict, direction, policy_set, rule_set, class_rule_set| {
            shared.attribute(&Decision {
                endpoint: 1,
                policy_set,
                revision: 1,
                direction,
                verdict,
                rule_set,
                class_rule_set,
            })
        };
        let table = [
            ("allowed by identity", Verdict::Forwarded, Direction::Ingress, 9, 1, 0, Some(&["a", "b"][..])),
            ("allowed by class", Verdict::Forwarded, Direction::Ingress, 9, 0, 2, Some(&["b", "c"])),
            ("allowed by both", Verdict::Forwarded, Direction::Ingress, 9, 1, 2, Some(&["a", "b", "c"])),
            (
                "allowed by nobody, as an exempt packet is",
                Verdict::Forwarded,
                Direction::Ingress,
                9,
                0,
                0,
                Some(&[]),
            ),
            ("allowed by a forgotten rule set", Verdict::Forwarded, Direction::Ingress, 9, 7, 1, None),
            ("denied at ingress", Verdict::Dropped, Direction::Ingress, 9, 0, 0, Some(&["in"])),
            ("audited at egress", Verdict::Audit, Direction::Egress, 9, 0, 0, Some(&["out"])),
            ("denied by a forgotten set", Verdict::Dropped, Direction::Ingress, 8, 0, 0, None),
        ];
        for (name, verdict, direction, set, rule_set, class_rule_set, expected) in table {
            let expected =
                expected.map_or(Attribution::Withheld, |names| Attribution::Policies(policies(names)));
            assert_eq!(ask(verdict, direction, set, rule_set, class_rule_set), expected, "{name}");
        }
    }
}
