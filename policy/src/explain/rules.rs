//! One direction of a path, rule by rule.

use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::netpol::{NetworkPolicy, Rule};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::verdict::Direction;

use super::answer::{Deciding, DirectionAnswer, Verdict};
use super::clause::{self, Clause};
use super::index::Index;
use super::missing::Missing;
use super::peer::{Exempt, Match, Side};
use crate::decide::{Exemption, selects};
use crate::set::policies_of_namespace;

/// Why a direction has its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectionExplanation<'w> {
    /// The short form.
    pub answer: DirectionAnswer<'w>,
    /// The policies that isolate the pod, sorted. Empty: everything passes.
    pub isolated_by: Vec<PolicyRef>,
    /// Set where the traffic passes whatever the rules.
    pub exemption: Option<Exemption>,
    /// Every rule of the policies that isolate, sorted, and what became of it.
    pub rules: Vec<RuleExplanation>,
    /// Policies of the pod's namespace that would judge this direction but do not select the pod, sorted, and why not.
    pub not_selecting: Vec<(PolicyRef, Clause)>,
    /// What would have to be known; empty unless the verdict is undecidable.
    pub missing: Vec<Missing>,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleExplanation {
    /// Which rule.
    pub rule: RuleRef,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It allows the connection.
    Allows,
    /// It would, if what is missing turns out so.
    Depends(Vec<Missing>),
    /// It does not. Its peers did not match, each for its own reason; or its ports did not.
    Fails(Vec<Clause>),
}

impl<'w> DirectionExplanation<'w> {
    pub(super) const NOT_JUDGED: Self = Self {
        answer: DirectionAnswer::NOT_JUDGED,
        isolated_by: Vec::new(),
        exemption: None,
        rules: Vec::new(),
        not_selecting: Vec::new(),
        missing: Vec::new(),
    };

    /// Of whoever it is that answers.
    pub(super) fn unknown(missing: Missing) -> Self {
        Self { answer: DirectionAnswer::UNKNOWN, missing: vec![missing], ..Self::NOT_JUDGED }
    }

    /// Judges one direction by every policy of the pod's namespace.
    pub(super) fn of(index: &Index<'w>, side: &Side<'_, 'w>, protocol: Protocol, port: Option<u16>) -> Self {
        let mut found = Self::NOT_JUDGED;
        let mut names = Vec::new();
        for policy in policies_of_namespace(index.world(), &side.pod.name.namespace) {
            let Some(rules) = policy.rules(side.direction) else { continue };
            let reference = PolicyRef::network_policy(policy.name.clone());
            if let Some(clause) = clause::of_pod_selector(&policy.pod_selector, &side.pod.labels) {
                found.not_selecting.push((reference, clause));
                continue;
            }
            found.isolated_by.push(reference);
            names.push(&policy.name);
            for (number, rule) in (0..).zip(rules) {
                let outcome = outcome(rule, policy, side, protocol, port);
                let rule = RuleRef { policy: policy.name.clone(), direction: side.direction, index: number };
                if outcome == Outcome::Allows {
                    found.answer.by.push(Deciding { policy: &policy.name, rule: Some(number) });
                }
                found.rules.push(RuleExplanation { rule, outcome });
            }
        }
        found.conclude(side, names.into_iter().map(|policy| Deciding { policy, rule: None }));
        found
    }

    fn conclude(&mut self, side: &Side<'_, 'w>, isolating: impl Iterator<Item = Deciding<'w>>) {
        self.answer.isolated = !self.isolated_by.is_empty();
        if !self.answer.isolated {
            return;
        }
        if let Exempt::Yes(exemption) = side.peer.exempt {
            self.exemption = Some(exemption);
            self.answer.by.clear();
            return;
        }
        if !self.answer.by.is_empty() {
            return;
        }
        self.missing = self.depends_on();
        if let Exempt::Maybe(missing) = &side.peer.exempt {
            self.missing.push(missing.clone());
        }
        self.missing.sort();
        self.missing.dedup();
        if self.missing.is_empty() {
            self.answer.verdict = Verdict::Denied;
            self.answer.by = isolating.collect();
        } else {
            self.answer.verdict = Verdict::Undecidable;
        }
    }

    fn depends_on(&self) -> Vec<Missing> {
        let depending = self.rules.iter().filter_map(|rule| match &rule.outcome {
            Outcome::Depends(missing) => Some(missing),
            Outcome::Allows | Outcome::Fails(_) => None,
        });
        depending.flatten().cloned().collect()
    }
}

fn outcome(
    rule: &Rule,
    policy: &NetworkPolicy,
    side: &Side<'_, '_>,
    protocol: Protocol,
    port: Option<u16>,
) -> Outcome {
    let own = policy.name.namespace.as_str();
    let matches: Vec<Match> = rule.peers.iter().map(|peer| side.peer.is_reached_by(peer, own)).collect();
    let is_reached = rule.peers.is_empty() || matches.contains(&Match::Yes);
    let unknown: Vec<Missing> = matches
        .into_iter()
        .filter_map(|found| match found {
            Match::Unknown(missing) => Some(missing),
            Match::Yes | Match::No => None,
        })
        .collect();
    if !is_reached && unknown.is_empty() {
        let list = match side.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        let peers = rule.peers.iter().enumerate();
        let clauses =
            peers.map(|(at, peer)| clause::of_peer(peer, own, &side.peer, &format!("{list}[{at}]")));
        Outcome::Fails(clauses.collect())
    } else if !has_port(rule, clause::named_ports(side), protocol, port) {
        Outcome::Fails(vec![clause::of_ports(&rule.ports, side, protocol, port)])
    } else if is_reached {
        Outcome::Allows
    } else {
        Outcome::Depends(unknown)
    }
}

/// The verdict of one side under these policies; of those that do not select its pod nothing is asked.
pub(super) fn verdict_under<'p>(
    policies: impl IntoIterator<Item = &'p NetworkPolicy>,
    side: &Side<'_, '_>,
    protocol: Protocol,
    port: Option<u16>,
) -> Verdict {
    if matches!(side.peer.exempt, Exempt::Yes(_)) {
        return Verdict::Allowed;
    }
    let (mut is_isolated, mut depends) = (false, matches!(side.peer.exempt, Exempt::Maybe(_)));
    for policy in policies.into_iter().filter(|policy| selects(policy, side.endpoint)) {
        for rule in policy.rules(side.direction).inspect(|_| is_isolated = true).unwrap_or_default() {
            match outcome(rule, policy, side, protocol, port) {
                Outcome::Allows => return Verdict::Allowed,
                Outcome::Depends(_) => depends = true,
                Outcome::Fails(_) => {}
            }
        }
    }
    match (is_isolated, depends) {
        (false, _) => Verdict::Allowed,
        (true, true) => Verdict::Undecidable,
        (true, false) => Verdict::Denied,
    }
}

/// Whether one of a rule's ports is the one that is connected to; `named` are those of the pod there.
pub(super) fn has_port(
    rule: &Rule,
    named: Option<&NamedPorts>,
    protocol: Protocol,
    port: Option<u16>,
) -> bool {
    let nobody = NamedPorts::default();
    let named = named.unwrap_or(&nobody);
    rule.ports.is_empty() || rule.ports.iter().any(|ports| ports.matches(protocol, port, named))
}
