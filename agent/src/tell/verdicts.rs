//! How policy decided, as messages.

use std::collections::BTreeMap;

use palomar_proto::palomar::v1;

use crate::enrich::DirectionHits;

/// One direction's counts.
pub(super) fn message(hits: &DirectionHits) -> v1::VerdictCounts {
    let DirectionHits { allowed, denied, unattributed, rules, isolating } = hits;
    let mut policies: BTreeMap<&str, v1::PolicyHits> = BTreeMap::new();
    for (rule, connections) in rules {
        let hits = v1::RuleHits { rule: rule.index, connections: *connections };
        policies.entry(&rule.policy.name).or_default().rules.push(hits);
    }
    for (policy, denied) in isolating {
        policies.entry(&policy.name).or_default().denied = *denied;
    }
    let named = |(name, hits): (&str, v1::PolicyHits)| v1::PolicyHits { policy: name.to_owned(), ..hits };
    v1::VerdictCounts {
        allowed: *allowed,
        denied: *denied,
        unattributed: *unattributed,
        policies: policies.into_iter().map(named).collect(),
    }
}
