//! What was seen to become of a packet, beside what policy says of it. The one is evidence of what the kernel did, whoever
//! told it to; the other is an evaluation: neither takes the other's word.

use palomar_flow::summary::{self, Fate, KernelDrop};
use palomar_model::kernel_drop;
use palomar_model::object::ObjectName;
use palomar_model::verdict::Direction;
use palomar_policy::explain::{Answer, DirectionAnswer, Verdict};
use palomar_proto::flow::Flow;
use serde_json::{Value, json};

/// What a flow tells of its packet's fate that is not our own policy's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence<'f>(Fate<'f>);

/// Evidence and evaluation side by side.
#[derive(Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whether policy would have had the packet lost as well; `None`: what policy says is not known.
    pub agrees: Option<bool>,
    /// The policies that isolate where policy denies, in order, by direction: those that somebody else may be enforcing.
    /// Empty where the kernel's reason is none that policy is enforced by.
    pub enforced: Vec<(Direction, ObjectName)>,
    /// The same in words.
    pub text: String,
}

// === impl Evidence ===

impl<'f> Evidence<'f> {
    /// That of a flow; `None` where it has none.
    pub fn of(flow: &'f Flow) -> Option<Self> {
        summary::fate(&flow.summary).map(Self)
    }

    /// In words.
    pub fn text(self) -> String {
        match self.0 {
            Fate::NotDelivered => "it was not delivered, and nobody is known to have dropped it".to_owned(),
            Fate::Dropped(drop) => format!("the kernel dropped it: {drop}"),
        }
    }

    /// As a part of an answer in JSON.
    pub fn json(self) -> Value {
        match self.0 {
            Fate::NotDelivered => json!({ "fate": "not delivered" }),
            Fate::Dropped(KernelDrop { reason, place }) => {
                json!({ "fate": "dropped by the kernel", "reason": reason, "place": place })
            }
        }
    }

    /// Beside what policy says.
    pub fn beside(self, answer: &Answer<'_>) -> Comparison {
        let enforced = match (answer.verdict, self.may_be_enforcement()) {
            (Verdict::Denied, true) => isolating(answer),
            _ => Vec::new(),
        };
        let text = match answer.verdict {
            Verdict::Denied if !enforced.is_empty() => {
                let names: Vec<String> = enforced.iter().map(|(_, name)| name.to_string()).collect();
                format!(
                    "policy denies it as well: this looks like another's enforcement of {}",
                    joined(&names)
                )
            }
            Verdict::Denied => "policy denies it as well, but that is not why it was lost".to_owned(),
            Verdict::Allowed if self.may_be_enforcement() => {
                "policy allows it: whoever lost it does not act by these policies".to_owned()
            }
            Verdict::Allowed => "policy allows it: it was lost for another reason".to_owned(),
            Verdict::Undecidable => {
                let facts: Vec<String> = answer.missing.iter().map(ToString::to_string).collect();
                format!("whether policy denies it cannot be known: {}", facts.join(" and "))
            }
        };
        let agrees = match answer.verdict {
            Verdict::Denied => Some(true),
            Verdict::Allowed => Some(false),
            Verdict::Undecidable => None,
        };
        Comparison { agrees, enforced, text }
    }

    /// Whether policy is enforced by such means: by rules of netfilter, by programs, or by one that tells nobody.
    fn may_be_enforcement(self) -> bool {
        match self.0 {
            Fate::NotDelivered => true,
            Fate::Dropped(KernelDrop { reason, place }) => kernel_drop::is_by_rule(reason, place),
        }
    }
}

// === impl Comparison ===

impl Comparison {
    /// As a part of an answer in JSON.
    pub fn json(&self) -> Value {
        let Self { agrees, enforced, text } = self;
        let enforced: Vec<Value> = enforced
            .iter()
            .map(|(direction, name)| {
                let ObjectName { namespace, name } = name;
                json!({
                    "direction": direction.to_string(), "kind": "NetworkPolicy",
                    "namespace": namespace, "name": name,
                })
            })
            .collect();
        json!({ "policy_agrees": agrees, "enforced_by_another": enforced, "text": text })
    }
}

/// The policies behind a denial.
fn isolating(answer: &Answer<'_>) -> Vec<(Direction, ObjectName)> {
    let side = |direction: Direction, answer: &DirectionAnswer<'_>| -> Vec<(Direction, ObjectName)> {
        let denies = answer.verdict == Verdict::Denied;
        answer.by.iter().filter(|_| denies).map(|by| (direction, by.policy.clone())).collect()
    };
    let mut policies = side(Direction::Egress, &answer.egress);
    policies.extend(side(Direction::Ingress, &answer.ingress));
    policies
}

/// `a`, `a or b`, `a, b or c`: which of several is not known.
fn joined(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
