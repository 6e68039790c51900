//! The greatest numbers that an adopted kernel already uses: new ones are given above them.

use palomar_bpf::abi::PEER_CLASS;

use super::tables::Contents;

/// The greatest of each kind of number; 0 where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) greatest_set: u32,
    pub(super) greatest_class: u32,
    pub(super) greatest_rule_set: u32,
    pub(super) revision: u32,
}

impl Found {
    pub(super) fn of(contents: &Contents) -> Self {
        let mut found = Self::default();
        for (key, rule) in &contents.rules {
            found.greatest_set = found.greatest_set.max(key.set);
            found.greatest_rule_set = found.greatest_rule_set.max(rule.rule_set);
            if key.peer & PEER_CLASS != 0 {
                found.greatest_class = found.greatest_class.max(key.peer & !PEER_CLASS);
            }
        }
        for (_, class) in &contents.cidrs {
            found.greatest_class = found.greatest_class.max(*class);
        }
        for (_, address) in &contents.addresses {
            found.greatest_class = found.greatest_class.max(address.class);
        }
        for (_, endpoint) in &contents.endpoints {
            found.greatest_set = found.greatest_set.max(endpoint.policy.set());
            found.revision = found.revision.max(endpoint.policy.revision());
        }
        found
    }
}
