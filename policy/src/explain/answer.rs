//! Answers: what may be, and who decided.

use std::fmt;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;

use super::missing::Missing;
use super::path::{Open, Path};

/// Whether a connection may be made. The order is that of [`Verdict::both`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It depends on what is not known.
    Undecidable,
    /// It may not, whatever is not known.
    Denied,
}

/// What is said of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'w> {
    /// Both directions together.
    pub verdict: Verdict,
    /// At the end that connects.
    pub egress: DirectionAnswer<'w>,
    /// At the end that is connected to.
    pub ingress: DirectionAnswer<'w>,
    /// What would have to be known; empty unless the verdict is undecidable.
    pub missing: Vec<Missing>,
}

/// What is said of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectionAnswer<'w> {
    /// Of this direction alone.
    pub verdict: Verdict,
    /// Whether a policy isolates the pod in this direction; false where the end is no pod that policies judge.
    pub isolated: bool,
    /// Who decided, sorted, without repeats. Where it is allowed: the rules that allow, none where the pod is not
    /// isolated or the traffic is always allowed. Where it is denied: the policies that isolate. Else nobody.
    pub by: Vec<Deciding<'w>>,
}

/// A policy that decided, and the rule of it if it was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deciding<'w> {
    /// Namespace and name of the `NetworkPolicy`.
    pub policy: &'w ObjectName,
    /// The rule's index in the list of the direction; `None` where isolation decided.
    pub rule: Option<u32>,
}

/// Of each address family, IPv4 first, the way that closes those beside it: it may not be gone, and they cannot be told
/// from it.
pub(super) fn closing<'a, 'w: 'a>(
    ways: &(impl Iterator<Item = (&'a Path<'w>, Verdict)> + Clone),
) -> [Option<usize>; 2] {
    [true, false].map(|is_ipv4| {
        let mut of_family = ways.clone().filter(|(path, _)| is_led(path, is_ipv4));
        let is_hidden = of_family.any(|(path, _)| path.is_hidden);
        let denied =
            ways.clone().position(|(path, egress)| is_led(path, is_ipv4) && egress == Verdict::Denied);
        denied.filter(|_| is_hidden)
    })
}

/// The position in [`closing`] of the way that closes this one; `None`: nothing does.
pub(super) fn closed_by(closing: [Option<usize>; 2], path: &Path<'_>, egress: Verdict) -> Option<usize> {
    let [v4, v6] = closing;
    let found = if is_led(path, true) { v4 } else { v6.filter(|_| is_led(path, false)) };
    found.filter(|_| egress != Verdict::Denied)
}

/// Whether this node leads a connection to a service's address on by this way.
fn is_led(path: &Path<'_>, is_ipv4: bool) -> bool {
    let has_family = path.to.address.is_some_and(|address| address.is_ipv4() == is_ipv4);
    has_family && path.service.is_some() && path.open.is_none() && path.other_node.is_none()
}

/// Closes the ways that cannot be told from one that may not be gone.
pub(super) fn close<'w>(ways: &mut [(Path<'w>, Answer<'w>)]) {
    let closing = closing(&ways.iter().map(|(path, answer)| (path, answer.egress.verdict)));
    for at in 0..ways.len() {
        let (path, answer) = &ways[at];
        let Some(by) = closed_by(closing, path, answer.egress.verdict) else { continue };
        let egress = ways[by].1.egress.clone();
        let answer = &mut ways[at].1;
        *answer = Answer { verdict: Verdict::Denied, egress, missing: Vec::new(), ..answer.clone() };
    }
}

/// The answer for all the ways that a connection may take; at least one.
pub(super) fn combine<'w>(paths: impl IntoIterator<Item = (Path<'w>, Answer<'w>)>) -> Answer<'w> {
    let mut combined: Option<Answer<'w>> = None;
    let (mut allowed, mut count, mut service) = (0, 0, None);
    let (mut at_node, mut elsewhere) = (false, None);
    for (path, answer) in paths {
        // nobody is no endpoint
        count += usize::from(!matches!(path.open, Some(Open::OnNode(_))));
        allowed += usize::from(answer.verdict == Verdict::Allowed);
        service = service.or(path.service);
        match path.other_node {
            Some((node, _)) => elsewhere = Some((path.from, node)),
            None => at_node = true,
        }
        match &mut combined {
            None => combined = Some(answer),
            Some(combined) => combined.merge(answer),
        }
    }
    let mut answer = combined.unwrap_or_else(|| Answer::unknown(Vec::new()));
    if answer.verdict == Verdict::Undecidable {
        if answer.missing.is_empty() {
            let from_both = elsewhere.filter(|_| at_node);
            answer.missing.push(match (service, from_both) {
                (_, Some((pod, node))) => {
                    Missing::ClientNode { pod: pod.to_string(), node: node.to_string() }
                }
                (Some(service), None) => {
                    Missing::WhichBackend { service: service.clone(), allowed, of: count }
                }
                (None, None) => Missing::WhichFamily,
            });
        }
        answer.missing.sort();
        answer.missing.dedup();
    } else {
        answer.missing.clear();
    }
    answer
}

// === impl Answer ===

impl Answer<'_> {
    /// The answer where an end is not known.
    pub(super) fn unknown(missing: Vec<Missing>) -> Self {
        let (egress, ingress) = (DirectionAnswer::UNKNOWN, DirectionAnswer::UNKNOWN);
        Self { verdict: Verdict::Undecidable, egress, ingress, missing }
    }

    fn merge(&mut self, other: Self) {
        let Self { verdict, egress, ingress, missing } = other;
        self.verdict = self.verdict.either(verdict);
        self.egress.merge(egress);
        self.ingress.merge(ingress);
        self.missing.extend(missing);
    }
}

// === impl Verdict ===

impl Verdict {
    /// Its name: `allowed`, `denied`, `undecidable`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Undecidable => "undecidable",
            Self::Denied => "denied",
        }
    }

    /// Of two directions: denied if one is, and allowed only if both are.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        self.max(other)
    }

    /// Of two ways that a connection may take: the one both have.
    #[must_use]
    pub fn either(self, other: Self) -> Self {
        if self == other { self } else { Self::Undecidable }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl DirectionAnswer ===

impl DirectionAnswer<'_> {
    /// An end that no policy judges.
    pub const NOT_JUDGED: Self = Self { verdict: Verdict::Allowed, isolated: false, by: Vec::new() };

    /// An end of which it is not known who it is.
    pub(super) const UNKNOWN: Self = Self { verdict: Verdict::Undecidable, isolated: false, by: Vec::new() };

    /// Both of two ways that a connection may take.
    pub(super) fn merge(&mut self, other: Self) {
        self.verdict = self.verdict.either(other.verdict);
        self.isolated |= other.isolated;
        self.by.extend(other.by);
        self.by.sort_unstable();
        self.by.dedup();
        if self.verdict == Verdict::Undecidable {
            self.by.clear();
        }
    }
}

/// `TCP 80`, or the protocol alone.
pub(super) fn shown_port(protocol: Protocol, port: Option<u16>) -> String {
    port.map_or_else(|| protocol.to_string(), |port| format!("{protocol} {port}"))
}
