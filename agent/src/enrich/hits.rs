//! How often each rule allowed a connection, and how often each isolating policy denied one: counted from the verdicts
//! that the kernel tells.
//!
//! A connection is judged when it is new: a verdict that allows is told once a connection, one that denies with each packet
//! that is dropped, since a dropped packet makes no connection (in audit mode once a connection). Denials are told at a
//! limited rate, and each tells how many were left out before it: those are counted with it. Verdicts that were lost on
//! the way are in no count.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use foldhash::fast::RandomState;
use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::object::ObjectName;
use palomar_model::verdict::{Direction, Verdict};

use super::attributions::{Attribution, Attributions, Decision};
use crate::clock::wall_now_ns;

/// Different decisions that are counted; of those beyond that only their number is known.
const MAX_DECISIONS: usize = 65_536;

/// The counts, since the agent began. The event path writes them and never waits for who reads them.
#[derive(Debug)]
pub struct Hits {
    since_ns: i64,
    decisions: Mutex<Vec<Arc<Counted>>>,
}

/// Adds to the counts. There is one for each [`Hits`].
pub(super) struct HitWriter {
    hits: Arc<Hits>,
    known: HashMap<DecisionKey, Arc<Counted>, RandomState>,
}

/// The counts of one direction of an endpoint.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DirectionHits {
    /// Connections that some rule allowed.
    pub allowed: u64,
    /// Denials.
    pub denied: u64,
    /// Those of both of which it is not known which policies they were by: they are in no count below.
    pub unattributed: u64,
    /// Connections by rule: one that several rules allow counts for each of them. Rules without any are not here.
    pub rules: BTreeMap<RuleRef, u64>,
    /// Denials by policy: one counts for each policy that isolates. Policies without any are not here.
    pub isolating: BTreeMap<ObjectName, u64>,
}

/// One decision that was made again and again.
#[derive(Debug)]
struct Counted {
    key: DecisionKey,
    by: By,
    count: AtomicU64,
}

#[derive(Debug)]
enum By {
    Rules(Vec<RuleRef>),
    Isolation(Arc<[PolicyRef]>),
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct DecisionKey {
    endpoint: u32,
    direction: Direction,
    allowed: bool,
    numbers: Numbers,
}

/// What the kernel knows the policies by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Numbers {
    RuleSets([u32; 2]),
    PolicySet(u32),
    Unknown,
}

// === impl Hits ===

impl Default for Hits {
    fn default() -> Self {
        Self { since_ns: wall_now_ns(), decisions: Mutex::default() }
    }
}

impl Hits {
    /// Since when is counted, in nanoseconds since the Unix epoch.
    pub const fn since_ns(&self) -> i64 {
        self.since_ns
    }

    /// The counts by number of the endpoint, ingress first. An endpoint without any is not here.
    pub fn by_endpoint(&self) -> HashMap<u32, [DirectionHits; 2]> {
        let decisions = self.decisions().clone();
        let mut endpoints: HashMap<u32, [DirectionHits; 2]> = HashMap::new();
        for decision in &decisions {
            let Counted { key, by, count } = &**decision;
            let place = usize::from(key.direction == Direction::Egress);
            let hits = &mut endpoints.entry(key.endpoint).or_default()[place];
            hits.add(key.allowed, by, count.load(Ordering::Relaxed));
        }
        endpoints
    }

    fn decisions(&self) -> MutexGuard<'_, Vec<Arc<Counted>>> {
        self.decisions.lock().expect("invariant: nothing panics while it holds the counts")
    }
}

// === impl DirectionHits ===

impl DirectionHits {
    fn add(&mut self, allowed: bool, by: &By, count: u64) {
        *(if allowed { &mut self.allowed } else { &mut self.denied }) += count;
        match by {
            By::Rules(rules) => {
                for rule in rules {
                    *self.rules.entry(rule.clone()).or_default() += count;
                }
            }
            By::Isolation(policies) => {
                for policy in policies.iter() {
                    *self.isolating.entry(policy.name.clone()).or_default() += count;
                }
            }
            By::Unknown => self.unattributed += count,
        }
    }
}

// === impl HitWriter ===

impl HitWriter {
    pub(super) fn new(hits: Arc<Hits>) -> Self {
        Self { hits, known: HashMap::default() }
    }

    /// Counts a decision so many times. `is_live` says of an endpoint whether it is still there: the others make room.
    #[inline]
    pub(super) fn count(
        &mut self,
        decision: &Decision,
        times: u64,
        attributions: &dyn Attributions,
        is_live: impl Fn(u32) -> bool,
    ) {
        let key = DecisionKey::of(decision);
        match self.known.get(&key) {
            Some(counted) => counted.add(times),
            None => self.begin(key, decision, times, attributions, is_live),
        }
    }

    #[cold]
    fn begin(
        &mut self,
        key: DecisionKey,
        decision: &Decision,
        times: u64,
        attributions: &dyn Attributions,
        is_live: impl Fn(u32) -> bool,
    ) {
        if self.known.len() >= MAX_DECISIONS {
            self.known.retain(|key, _| is_live(key.endpoint));
            self.hits.decisions().retain(|counted| is_live(counted.key.endpoint));
        }
        let by = if self.known.len() < MAX_DECISIONS { by(decision, attributions) } else { By::Unknown };
        let key =
            if matches!(by, By::Unknown) { DecisionKey { numbers: Numbers::Unknown, ..key } } else { key };
        let Self { hits, known } = self;
        let counted = known.entry(key).or_insert_with(|| {
            let counted = Arc::new(Counted { key, by, count: AtomicU64::new(0) });
            hits.decisions().push(Arc::clone(&counted));
            counted
        });
        counted.add(times);
    }
}

// === impl Counted ===

impl Counted {
    /// There is one writer.
    #[inline]
    fn add(&self, times: u64) {
        self.count.fetch_add(times, Ordering::Relaxed);
    }
}

// === impl DecisionKey ===

impl DecisionKey {
    fn of(decision: &Decision) -> Self {
        let Decision { endpoint, policy_set, revision: _, direction, verdict, rule_set, class_rule_set } =
            *decision;
        let allowed = verdict == Verdict::Forwarded;
        let numbers = if allowed {
            Numbers::RuleSets([rule_set, class_rule_set])
        } else {
            Numbers::PolicySet(policy_set)
        };
        Self { endpoint, direction, allowed, numbers }
    }
}

fn by(decision: &Decision, attributions: &dyn Attributions) -> By {
    if decision.verdict == Verdict::Forwarded {
        let rules = attributions.rules([decision.rule_set, decision.class_rule_set]);
        return rules.map_or(By::Unknown, By::Rules);
    }
    match attributions.attribute(decision) {
        Attribution::Policies(policies) => By::Isolation(policies),
        Attribution::Withheld => By::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::labels::LabelSet;

    use super::*;

    /// Rule set n is rule n of policy `allow`, ingress; 9 is not known, and neither is policy set 9.
    struct Numbered;

    impl Attributions for Numbered {
        fn version(&self) -> u64 {
            0
        }

        fn attribute(&self, decision: &Decision) -> Attribution {
            let names: &[&str] = match decision.policy_set {
                9 => return Attribution::Withheld,
                1 => &["one"],
                _ => &["one", "other"],
            };
            Attribution::Policies(names.iter().map(|name| PolicyRef::network_policy(policy(name))).collect())
        }

        fn rules(&self, rule_sets: [u32; 2]) -> Option<Vec<RuleRef>> {
            let known = rule_sets.into_iter().filter(|number| *number != 0);
            known.map(|number| (number != 9).then(|| rule(number))).collect()
        }

        fn class_labels(&self, _: u32) -> Option<LabelSet> {
            None
        }
    }

    fn policy(name: &str) -> ObjectName {
        ObjectName::new("demo", name)
    }

    fn rule(index: u32) -> RuleRef {
        RuleRef { policy: policy("allow"), direction: Direction::Ingress, index }
    }

    fn allowed(endpoint: u32, rule_sets: [u32; 2]) -> Decision {
        let [rule_set, class_rule_set] = rule_sets;
        Decision {
            endpoint,
            policy_set: 1,
            revision: 1,
            direction: Direction::Ingress,
            verdict: Verdict::Forwarded,
            rule_set,
            class_rule_set,
        }
    }

    fn denied(endpoint: u32, policy_set: u32, verdict: Verdict) -> Decision {
        Decision { policy_set, verdict, ..allowed(endpoint, [0, 0]) }
    }

    fn writer() -> (HitWriter, Arc<Hits>) {
        let hits = Arc::new(Hits::default());
        (HitWriter::new(Arc::clone(&hits)), hits)
    }

    #[test]
    fn each_rule_that_allows_and_each_policy_that_isolates_is_counted() {
        let (mut writer, hits) = writer();
        let decisions = [
            (allowed(7, [1, 0]), 1),
            (allowed(7, [1, 0]), 1),
            (allowed(7, [1, 2]), 1),
            (Decision { revision: 2, policy_set: 4, ..allowed(7, [1, 0]) }, 1),
            (denied(7, 1, Verdict::Dropped), 1),
            (denied(7, 2, Verdict::Audit), 5),
            (Decision { direction: Direction::Egress, ..denied(7, 1, Verdict::Dropped) }, 1),
            (allowed(8, [2, 0]), 1),
        ];
        for (decision, times) in decisions {
            writer.count(&decision, times, &Numbered, |_| true);
        }
        let [ingress, egress] = &hits.by_endpoint()[&7];
        assert_eq!((ingress.allowed, ingress.denied, ingress.unattributed), (4, 6, 0));
        assert_eq!(ingress.rules, BTreeMap::from([(rule(1), 4), (rule(2), 1)]));
        assert_eq!(ingress.isolating, BTreeMap::from([(policy("one"), 6), (policy("other"), 5)]));
        assert_eq!((egress.allowed, egress.denied), (0, 1));
        assert_eq!(hits.by_endpoint()[&8][0].rules, BTreeMap::from([(rule(2), 1)]));
        assert!(!hits.by_endpoint().contains_key(&9));
    }

    #[test]
    fn what_a_number_means_that_is_not_known_is_in_the_sum_alone() {
        let (mut writer, hits) = writer();
        for decision in [allowed(7, [9, 0]), allowed(7, [1, 9]), denied(7, 9, Verdict::Dropped)] {
            writer.count(&decision, 2, &Numbered, |_| true);
        }
        let [ingress, _] = &hits.by_endpoint()[&7];
        assert_eq!((ingress.allowed, ingress.denied, ingress.unattributed), (4, 2, 6));
        assert!(ingress.rules.is_empty() && ingress.isolating.is_empty());
    }

    #[test]
    fn of_too_many_decisions_those_of_endpoints_that_have_gone_make_room() {
        let (mut writer, hits) = writer();
        let many = u32::try_from(MAX_DECISIONS).unwrap();
        for endpoint in 0..many {
            writer.count(&allowed(endpoint, [1, 0]), 1, &Numbered, |_| true);
        }
        writer.count(&allowed(many, [1, 0]), 1, &Numbered, |_| true);
        assert_eq!(hits.by_endpoint()[&many][0].unattributed, 1, "no room: its sum alone");
        writer.count(&allowed(many + 1, [1, 0]), 1, &Numbered, |endpoint| endpoint >= many);
        let counts = hits.by_endpoint();
        assert_eq!(counts.len(), 2, "the others have gone");
        assert_eq!(counts[&(many + 1)][0].rules, BTreeMap::from([(rule(1), 1)]));
    }
}
