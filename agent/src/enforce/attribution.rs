//! Who decided, by the numbers that events carry.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::labels::LabelSet;
use palomar_model::verdict::{Direction, Verdict};
use palomar_policy::RuleSet;

use crate::enrich::{Attribution, Attributions, Decision};

/// The policies behind rule set numbers and policy set numbers. Numbers never change their meaning, so an event of
/// a moment ago is explained by what was in force then.
#[derive(Debug, Clone, Default)]
pub struct AttributionTable {
    /// Rule set → the policies whose rules allow, sorted.
    pub allowing: HashMap<u32, Arc<[PolicyRef]>>,
    /// Rule set → its rules, sorted.
    pub rules: HashMap<u32, RuleSet>,
    /// Policy set → the policies that isolate ingress, and those that isolate egress; sorted.
    pub isolating: HashMap<u32, [Arc<[PolicyRef]>; 2]>,
    /// CIDR class → its longest CIDR and `reserved:world`.
    pub class_labels: HashMap<u32, LabelSet>,
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

    pub(super) fn store(&self, table: AttributionTable) {
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
    use palomar_model::object::ObjectName;

    use super::*;

    fn policies(names: &[&str]) -> Arc<[PolicyRef]> {
        names.iter().map(|name| PolicyRef::network_policy(ObjectName::new("demo", *name))).collect()
    }

    #[test]
    fn a_verdict_is_attributed_by_its_numbers_and_withheld_where_a_number_is_unknown() {
        let shared = SharedAttributions::default();
        shared.store(AttributionTable {
            allowing: HashMap::from([(1, policies(&["a", "b"])), (2, policies(&["b", "c"]))]),
            isolating: HashMap::from([(9, [policies(&["in"]), policies(&["out"])])]),
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
