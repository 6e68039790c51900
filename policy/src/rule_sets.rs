//! Interned numbers for sets of rules: what the kernel stores in a rule, a connection and an event.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use palomar_model::attribution::RuleRef;
use palomar_model::object::ObjectName;
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use serde::{Deserialize, Serialize};

use crate::interner::Interner;

/// Rules that allow something: sorted, without repeats; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleSet(Arc<[RuleRef]>);

/// Numbers for [`RuleSet`]s. A number is never 0, never changes its meaning and is never given twice.
#[derive(Debug, Clone, Default)]
pub struct RuleSets {
    interner: Interner<RuleSet>,
}

/// Every number from 1 to `u32::MAX` has been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {} numbers for rule sets have been given", u32::MAX - 1)]
pub struct RuleSetsExhausted;

/// [`RuleSets`] as plain data, to be kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRuleSets {
    /// The number that the next new set gets.
    pub next: u32,
    /// The sets, by ascending number.
    pub sets: Vec<SavedRuleSet>,
}

/// One set of [`SavedRuleSets`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRuleSet {
    /// Its number; never 0.
    pub id: u32,
    /// Its rules.
    pub rules: Vec<SavedRule>,
}

/// A [`RuleRef`] as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRule {
    /// The policy's namespace.
    pub namespace: String,
    /// The policy's name.
    pub name: String,
    /// Hubble's number: 1 ingress, 2 egress.
    pub direction: u8,
    /// Position in the list of that direction, from 0.
    pub index: u32,
}

/// Saved rule sets that no [`RuleSets`] can have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSavedRuleSets {
    /// A direction other than 1 and 2.
    #[error("saved rule set {id} has a rule of direction {direction}; choose from: 1 (ingress), 2 (egress)")]
    Direction {
        /// The set's number.
        id: u32,
        /// What was found.
        direction: u8,
    },
    /// A set or a number stands twice, or a number is 0 or not below `next`.
    #[error("saved rule sets repeat a set or a number, or have a number outside 1..{next}")]
    Numbers {
        /// The `next` that was found.
        next: u32,
    },
}

// === impl RuleSet ===

impl RuleSet {
    /// A set of rules in any order.
    pub fn new(mut rules: Vec<RuleRef>) -> Self {
        rules.sort();
        rules.dedup();
        Self(rules.into())
    }
}

impl Deref for RuleSet {
    type Target = [RuleRef];

    fn deref(&self) -> &[RuleRef] {
        &self.0
    }
}

/// `np-demo/web ingress[0], np-demo/web ingress[2]`
impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, RuleRef { policy, direction, index }) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{policy} {direction}[{index}]")?;
        }
        Ok(())
    }
}

// === impl RuleSets ===

impl RuleSets {
    /// The number of a set, given now if it had none.
    pub fn intern(&mut self, rules: &RuleSet) -> Result<u32, RuleSetsExhausted> {
        self.interner.intern(rules, u32::MAX - 1).ok_or(RuleSetsExhausted)
    }

    /// The rules of a number; `None` for 0, for a number that was not given, and for a forgotten one.
    pub fn get(&self, id: u32) -> Option<&RuleSet> {
        self.interner.get(id)
    }

    /// The number that the next new set gets.
    pub fn next(&self) -> u32 {
        self.interner.next()
    }

    /// All sets by their numbers; to clone it costs little.
    pub const fn all(&self) -> &SharedMap<u32, RuleSet> {
        self.interner.all()
    }

    /// All sets with their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &RuleSet)> {
        self.interner.iter()
    }

    /// Forgets the sets whose number `keep` refuses; their numbers are not given again.
    pub fn retain(&mut self, keep: impl FnMut(u32) -> bool) {
        self.interner.retain(keep);
    }

    /// From plain data.
    pub fn restore(saved: SavedRuleSets) -> Result<Self, InvalidSavedRuleSets> {
        let SavedRuleSets { next, sets } = saved;
        let pairs = sets
            .into_iter()
            .map(|SavedRuleSet { id, rules }| {
                let rules = rules.into_iter().map(|rule| rule.restore(id)).collect::<Result<_, _>>()?;
                Ok((id, RuleSet::new(rules)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let interner = Interner::restore(next, pairs).ok_or(InvalidSavedRuleSets::Numbers { next })?;
        Ok(Self { interner })
    }
}

// === impl SavedRuleSets ===

impl SavedRuleSets {
    /// From what [`RuleSets::next`] and [`RuleSets::all`] told.
    pub fn new(next: u32, sets: &SharedMap<u32, RuleSet>) -> Self {
        let sets = sets
            .iter()
            .map(|(id, rules)| SavedRuleSet { id: *id, rules: rules.iter().map(SavedRule::from).collect() });
        Self { next, sets: sets.collect() }
    }
}

// === impl SavedRule ===

impl From<&RuleRef> for SavedRule {
    fn from(rule: &RuleRef) -> Self {
        let RuleRef { policy: ObjectName { namespace, name }, direction, index } = rule;
        Self { namespace: namespace.clone(), name: name.clone(), direction: *direction as u8, index: *index }
    }
}

impl SavedRule {
    fn restore(self, id: u32) -> Result<RuleRef, InvalidSavedRuleSets> {
        let Self { namespace, name, direction, index } = self;
        let direction =
            Direction::try_from(direction).map_err(|_| InvalidSavedRuleSets::Direction { id, direction })?;
        Ok(RuleRef { policy: ObjectName { namespace, name }, direction, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, index: u32) -> RuleRef {
        RuleRef { policy: ObjectName::new("ns", name), direction: Direction::Ingress, index }
    }

    #[test]
    fn the_same_rules_in_any_order_keep_their_number_and_numbers_begin_at_1() {
        let mut sets = RuleSets::default();
        let first = sets.intern(&RuleSet::new(vec![rule("b", 0), rule("a", 1), rule("a", 1)])).unwrap();
        let other = sets.intern(&RuleSet::new(vec![rule("b", 0)])).unwrap();
        let again = sets.intern(&RuleSet::new(vec![rule("a", 1), rule("b", 0)])).unwrap();
        assert_eq!((first, other, again), (1, 2, 1));
        assert_eq!(sets.get(1).unwrap().to_string(), "ns/a ingress[1], ns/b ingress[0]");
        assert_eq!(sets.get(0), None);
    }

    #[test]
    fn a_forgotten_number_is_not_given_again_even_over_a_restart() {
        let mut sets = RuleSets::default();
        sets.intern(&RuleSet::new(vec![rule("a", 0)])).unwrap();
        sets.intern(&RuleSet::new(vec![rule("b", 0)])).unwrap();
        sets.retain(|id| id == 1);
        let text = serde_json::to_string(&SavedRuleSets::new(sets.next(), sets.all())).unwrap();
        let mut restored = RuleSets::restore(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(restored.get(2), None);
        assert_eq!(restored.intern(&RuleSet::new(vec![rule("a", 0)])), Ok(1));
        assert_eq!(restored.intern(&RuleSet::new(vec![rule("b", 0)])), Ok(3));
    }

    #[test]
    fn saved_sets_that_nobody_can_have_written_are_refused() {
        let saved = |next, ids: &[u32], direction| SavedRuleSets {
            next,
            sets: ids
                .iter()
                .map(|id| SavedRuleSet {
                    id: *id,
                    rules: vec![SavedRule {
                        namespace: "ns".into(),
                        name: "p".into(),
                        direction,
                        index: *id,
                    }],
                })
                .collect(),
        };
        let table = [
            ("a good one", saved(3, &[1, 2], 1), true),
            ("a number twice", saved(3, &[1, 1], 1), false),
            ("number 0", saved(3, &[0], 1), false),
            ("a number that is yet to be given", saved(3, &[3], 1), false),
            ("a direction that is none", saved(3, &[1], 3), false),
        ];
        for (name, saved, good) in table {
            assert_eq!(RuleSets::restore(saved).is_ok(), good, "{name}");
        }
    }
}
