//! Who decided: the policies and rules that a verdict is attributed to.

use crate::object::ObjectName;
use crate::verdict::Direction;

/// A policy as a flow names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRef {
    /// Namespace and name.
    pub name: ObjectName,
    /// Kubernetes kind; `NetworkPolicy` so far.
    pub kind: &'static str,
}

impl PolicyRef {
    /// A Kubernetes `NetworkPolicy`.
    pub const fn network_policy(name: ObjectName) -> Self {
        Self { name, kind: "NetworkPolicy" }
    }
}

/// One rule of a policy: the index counts from 0 in the `ingress` or `egress` list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleRef {
    /// The policy the rule stands in.
    pub policy: ObjectName,
    /// Which of its two lists.
    pub direction: Direction,
    /// Position in that list, from 0.
    pub index: u32,
}
