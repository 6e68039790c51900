//! The rules that a policy set has in the kernel, by whom they speak of.

use palomar_bpf::abi::{Rule, RuleKey};

use super::moved::{Of, of};

/// Rules of one set: sorted by whom they speak of, each key once.
#[derive(Debug, Default)]
pub(super) struct SetRules(Vec<(RuleKey, Rule)>);

impl SetRules {
    /// From rules in any order; of those with the same key the last one counts.
    pub(super) fn new(rules: Vec<(RuleKey, Rule)>) -> Self {
        let mut sorted = Self(rules);
        sorted.sort();
        sorted
    }

    /// Adds rules, or replaces those that have their keys.
    pub(super) fn insert(&mut self, rules: &[(RuleKey, Rule)]) {
        if !rules.is_empty() {
            self.0.extend_from_slice(rules);
            self.sort();
        }
    }

    /// Takes out the rules that speak of somebody.
    pub(super) fn remove(&mut self, peer: Of) {
        let range = self.range(peer);
        self.0.drain(range);
    }

    /// The keys of the rules that speak of somebody.
    pub(super) fn keys_of(&self, peer: Of) -> Vec<RuleKey> {
        self.0[self.range(peer)].iter().map(|(key, _)| *key).collect()
    }

    /// Whether a rule speaks of somebody.
    pub(super) fn speaks_of(&self, peer: Of) -> bool {
        !self.range(peer).is_empty()
    }

    /// The keys of all rules.
    pub(super) fn keys(&self) -> Vec<RuleKey> {
        self.0.iter().map(|(key, _)| *key).collect()
    }

    /// The rule set of each rule.
    pub(super) fn rule_sets(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(_, rule)| rule.rule_set)
    }

    fn range(&self, peer: Of) -> std::ops::Range<usize> {
        let begin = self.0.partition_point(|(key, _)| of(key) < peer);
        let count = self.0[begin..].partition_point(|(key, _)| of(key) == peer);
        begin..begin + count
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|(key, _)| (of(key), *key));
        self.0.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                *kept = *later;
            }
            is_same
        });
    }
}

#[cfg(test)]
mod tests {
    use palomar_bpf::abi::DIRECTION_SERVICE;

    use super::*;

    #[test]
    fn rules_are_found_by_whom_they_speak_of_and_the_last_of_a_key_counts() {
        let rule = |peer, direction, port, rule_set| {
            let key = RuleKey { peer, direction, port, ..RuleKey::default() };
            (key, Rule { rule_set, prefix_len: 96 })
        };
        let mut rules = SetRules::new(vec![rule(300, 1, 80, 1), rule(7, 2, 80, 2), rule(300, 2, 80, 3)]);
        rules.insert(&[rule(300, 1, 80, 4), rule(300, DIRECTION_SERVICE, 80, 5), rule(299, 1, 443, 6)]);
        for (what, peer, expected) in [
            ("an identity, in both directions", (false, 300), 2),
            ("a service of the same number", (true, 300), 1),
            ("one that was added before others", (false, 299), 1),
            ("nobody", (false, 301), 0),
        ] {
            assert_eq!(rules.keys_of(peer).len(), expected, "{what}");
            assert_eq!(rules.speaks_of(peer), expected > 0, "{what}");
        }
        let mut sets: Vec<u32> = rules.rule_sets().collect();
        sets.sort_unstable();
        assert_eq!(sets, [2, 3, 4, 5, 6]);
        rules.remove((false, 300));
        assert_eq!(rules.keys().iter().map(|key| key.peer).collect::<Vec<_>>(), [7, 299, 300]);
    }
}
