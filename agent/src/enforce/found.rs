//! The greatest numbers that an adopted kernel already uses: new ones are given above them.

use palomar_bpf::abi::{ADDRESS_SERVICE, Address, DIRECTION_SERVICE, PEER_CLASS, RULES_LATER};

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
            if rule.rule_set != RULES_LATER {
                found.greatest_rule_set = found.greatest_rule_set.max(rule.rule_set);
            }
            if key.peer & PEER_CLASS != 0 && key.direction != DIRECTION_SERVICE {
                found.greatest_class = found.greatest_class.max(key.peer & !PEER_CLASS);
            }
        }
        for (_, class) in &contents.cidrs {
            found.greatest_class = found.greatest_class.max(*class);
        }
        // a service's address has no class there
        let of_class = |address: &&Address| address.flags & ADDRESS_SERVICE == 0;
        for address in contents.addresses.iter().map(|(_, address)| address).filter(of_class) {
            found.greatest_class = found.greatest_class.max(address.class);
        }
        for (_, endpoint) in &contents.endpoints {
            found.greatest_set = found.greatest_set.max(endpoint.policy.set());
            found.revision = found.revision.max(endpoint.policy.revision());
        }
        found
    }
}
