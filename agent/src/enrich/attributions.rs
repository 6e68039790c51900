//! Which policies decided: asked of the control path, which gave the kernel its rules.

use std::sync::Arc;

use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::labels::LabelSet;
use palomar_model::verdict::{Direction, Verdict};

/// A decision that the kernel made, in the kernel's own numbers: these alone say who decided, whenever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The number of the endpoint whose policy decided.
    pub endpoint: u32,
    /// The endpoint's policy set that was in force.
    pub policy_set: u32,
    /// The revision that was in force.
    pub revision: u32,
    /// The direction that was judged.
    pub direction: Direction,
    /// Forwarded: the policies that allowed are wanted. Dropped or audit: those that isolate.
    pub verdict: Verdict,
    /// The rules that allowed by identity or from any peer; 0 for none.
    pub rule_set: u32,
    /// The rules that allowed by CIDR class; 0 for none.
    pub class_rule_set: u32,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribution {
    /// These policies, sorted; none if no policy had a say.
    Policies(Arc<[PolicyRef]>),
    /// Not told: the policy was changing at that moment, or the numbers are not known any more.
    Withheld,
}

/// Answers for what the kernel's numbers mean. Asked on the event path: must not block.
pub trait Attributions: Send + Sync {
    /// Raised after every change by which an answer may be another than before: until then answers are remembered.
    fn version(&self) -> u64;

    /// The policies behind a decision.
    fn attribute(&self, decision: &Decision) -> Attribution;

    /// The rules behind rule sets, 0 being none, each once; `None` where a number is not known.
    fn rules(&self, _rule_sets: [u32; 2]) -> Option<Vec<RuleRef>> {
        None
    }

    /// The labels of a CIDR class: its longest CIDR and `reserved:world`. `None` for a class that is not known any
    /// more.
    fn class_labels(&self, class: u32) -> Option<LabelSet>;
}
