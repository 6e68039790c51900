//! An explanation for people.

use std::fmt::Write;

use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::netpol::{NetworkPolicy, Peer, PortRule};
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::Exemption;
use palomar_policy::explain::{
    Change, DirectionExplanation, Edit, Missing, Outcome, Party, PathExplanation, RuleExplanation, Standing,
    Verdict,
};

use super::explain::Told;
use super::manifests::Manifests;
use super::question::protocol_name;
use crate::render::escape::escape;

/// The whole text, its last line ended.
pub fn of(told: &Told<'_>) -> String {
    let Told { question, from, to, explanation, change, manifests } = told;
    let mut text = Text { manifests, told: &explanation.answer.missing, lines: String::new() };
    let port = port(question.protocol, question.port);
    text.line(0, &format!("{from} -> {to}, {port}: {}", explanation.answer.verdict));
    if !explanation.answer.missing.is_empty() {
        text.line(0, "");
        text.line(0, "Not known:");
        for missing in &explanation.answer.missing {
            text.line(1, &missing.to_string());
        }
    }
    let groups = grouped(&explanation.paths);
    for group in &groups {
        text.path(group, question.protocol, groups.len() > 1);
    }
    match change {
        Some(change) => text.change(change),
        None if explanation.answer.verdict == Verdict::Denied => text.no_change(&explanation.paths),
        None => {}
    }
    text.lines
}

/// Paths of which the same is said, in the order of the first of each.
fn grouped<'p, 'w>(paths: &'p [PathExplanation<'w>]) -> Vec<Vec<&'p PathExplanation<'w>>> {
    let mut groups: Vec<Vec<&PathExplanation<'_>>> = Vec::new();
    for path in paths {
        let same = groups.iter_mut().find(|group| {
            let first = group[0];
            let (one, other) = (&first.path, &path.path);
            (&first.egress, &first.ingress, first.closed_by) == (&path.egress, &path.ingress, path.closed_by)
                && (one.port, one.other_node) == (other.port, other.other_node)
        });
        match same {
            Some(group) => group.push(path),
            None => groups.push(vec![path]),
        }
    }
    groups
}

/// How many policies that do not select a pod are shown.
const NOT_SELECTING_SHOWN: usize = 10;

struct Text<'m> {
    manifests: &'m Manifests,
    /// What was said to be missing already.
    told: &'m [Missing],
    lines: String,
}

impl Text<'_> {
    /// A line at a depth of two columns each, harmless for a terminal.
    fn line(&mut self, depth: usize, line: &str) {
        let line = escape(line);
        let indent = if line.is_empty() { 0 } else { depth * 2 };
        writeln!(self.lines, "{:indent$}{line}", "").expect("invariant: a String takes everything");
    }

    fn path(&mut self, group: &[&PathExplanation<'_>], protocol: Protocol, has_others: bool) {
        let first = group[0];
        let path = &first.path;
        if has_others || path.service.is_some() || group.len() > 1 {
            let way =
                path.service.map(|service| format!(", by way of service {service}")).unwrap_or_default();
            self.line(0, "");
            let port = port(protocol, path.port);
            let ends = format!("{} -> {}", at_address(&path.from), at_address(&path.to));
            self.line(0, &format!("{ends}, {port}{way}: {}", first.verdict));
        }
        if group.len() > 1 {
            let ends: Vec<(String, String)> =
                group.iter().map(|path| (at_address(&path.path.from), at_address(&path.path.to))).collect();
            let (own, others) = (&ends[0].0, &ends[1..]);
            let others = if others.iter().all(|(from, _)| from == own) {
                let to: Vec<String> = others.iter().map(|(_, to)| to.clone()).collect();
                format!("to {}", few(&to))
            } else {
                let both: Vec<String> =
                    others.iter().map(|(from, to)| format!("from {from} to {to}")).collect();
                few(&both)
            };
            self.line(1, &format!("and the same {others}"));
        }
        if let Some((node, seen)) = &path.other_node {
            let seen = port(protocol, *seen);
            self.line(
                1,
                &format!("egress is judged for {node}, {seen}: that node leads it on, not the client's"),
            );
        }
        if let Some(denied) = &first.closed_by {
            let denied = at_address(denied);
            self.line(1, &format!("closed because of {denied}, where it may lead as well: the node hides who connects, so that it would never show"));
        }
        for (name, party, side) in
            [("Egress", &path.from, &first.egress), ("Ingress", &path.to, &first.ingress)]
        {
            self.line(0, "");
            self.line(0, &format!("{name} of {party}: {}", side.answer.verdict));
            self.side(party, side);
        }
    }

    /// Of a denial that no change is proposed for: what would have to be known of the side that is undecidable.
    fn no_change(&mut self, paths: &[PathExplanation<'_>]) {
        let sides = paths.iter().flat_map(|path| [&path.egress, &path.ingress]);
        let mut missing: Vec<&Missing> = sides.flat_map(|side| &side.missing).collect();
        missing.sort();
        missing.dedup();
        if !missing.is_empty() {
            self.line(0, "");
            self.line(0, "No change is proposed while this is not known:");
        }
        for missing in missing {
            self.line(1, &missing.to_string());
        }
    }

    fn side(&mut self, party: &Party<'_>, side: &DirectionExplanation<'_>) {
        let DirectionExplanation { answer: _, isolated_by, exemption, rules, not_selecting, missing } = side;
        if party.standing == Standing::Masked {
            return self
                .line(1, "it was judged where it came from, before a node put its own address in place");
        }
        if party.judged_pod().is_none() && side.answer.verdict == Verdict::Undecidable {
            self.line(1, "who answers there is not known");
            return self.missing(missing);
        }
        if party.judged_pod().is_none() {
            return self.line(1, "no policy judges it: it is no pod with an address of its own");
        }
        match exemption {
            Some(Exemption::Itself) => self.line(1, "a pod may always connect to itself"),
            Some(Exemption::NodeToItsPod) => self.line(1, "a node may always connect to its own pods"),
            None => {}
        }
        if isolated_by.is_empty() {
            self.line(1, "no policy isolates it");
        } else {
            let policies: Vec<String> = isolated_by.iter().map(|policy| self.policy(policy)).collect();
            self.line(1, &format!("isolated by {}", policies.join(", ")));
        }
        self.missing(missing);
        // What decides comes first.
        let (allowing, others): (Vec<_>, Vec<_>) =
            rules.iter().partition(|rule| rule.outcome == Outcome::Allows);
        allowing.into_iter().chain(others).for_each(|rule| self.rule(rule));
        if !not_selecting.is_empty() {
            self.line(1, "policies of the namespace that do not select it:");
        }
        for (policy, clause) in not_selecting.iter().take(NOT_SELECTING_SHOWN) {
            let policy = self.policy(policy);
            self.line(2, &format!("{policy}: {clause}"));
        }
        if let Some(more) = not_selecting.len().checked_sub(NOT_SELECTING_SHOWN).filter(|more| *more > 0) {
            self.line(2, &format!("and {more} more, all of them with --output json"));
        }
    }

    /// What has not been told yet.
    fn missing(&mut self, missing: &[Missing]) {
        for missing in missing.iter().filter(|missing| !self.told.contains(missing)) {
            self.line(1, &format!("not known: {missing}"));
        }
    }

    fn rule(&mut self, rule: &RuleExplanation) {
        let name = self.rule_name(&rule.rule);
        match &rule.outcome {
            Outcome::Allows => self.line(1, &format!("{name} allows it")),
            Outcome::Depends(missing) => {
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                self.line(1, &format!("{name} depends on {}", missing.join("; and on ")));
            }
            Outcome::Fails(clauses) => {
                self.line(1, &format!("{name} does not match"));
                for clause in clauses {
                    self.line(2, &clause.to_string());
                }
            }
        }
    }

    fn change(&mut self, change: &Change) {
        let policies = &self.manifests.world.policies;
        self.line(0, "");
        self.line(0, "The smallest change that would allow it:");
        // a policy that one edit makes may be changed by the next
        let mut after = policies.clone();
        for edit in &change.edits {
            edit.apply(&mut after);
            match edit {
                Edit::AddPeer { policy, direction, rule, peer } => {
                    let name = self.rule_of(policy, *direction, *rule);
                    self.line(1, &format!("one more peer in {name}: {}", shown_peer(peer)));
                    let ports = after.get(policy).and_then(|policy| ports(policy, *direction, *rule));
                    self.line(2, &opens("it", *direction, ports));
                }
                Edit::AddPort { policy, direction, rule, port } => {
                    let name = self.rule_of(policy, *direction, *rule);
                    self.line(1, &format!("one more port in {name}: {port}"));
                    self.line(2, "it is then open between every pod that the policy selects and every peer of the rule");
                }
                Edit::AddPolicy(policy) => {
                    self.line(1, &format!("one more policy, {}", policy.name));
                    for direction in Direction::BOTH {
                        for (index, rule) in (0..).zip(policy.rules(direction).unwrap_or_default()) {
                            let peers: Vec<String> = rule.peers.iter().map(shown_peer).collect();
                            let ports = ports(policy, direction, index);
                            self.line(2, &opens(&peers.join(" or "), direction, ports));
                        }
                    }
                }
            }
        }
        let yaml = change.to_yaml(policies);
        self.line(0, "");
        yaml.lines().for_each(|line| self.line(0, line));
    }

    fn policy(&self, policy: &PolicyRef) -> String {
        self.placed(policy.name.to_string(), &policy.name)
    }

    fn rule_name(&self, rule: &RuleRef) -> String {
        self.rule_of(&rule.policy, rule.direction, rule.index)
    }

    fn rule_of(&self, policy: &palomar_model::object::ObjectName, direction: Direction, rule: u32) -> String {
        self.placed(format!("{policy} {direction}[{rule}]"), policy)
    }

    fn placed(&self, text: String, policy: &palomar_model::object::ObjectName) -> String {
        match self.manifests.policy(policy) {
            Some(place) => format!("{text} ({place})"),
            None => text,
        }
    }
}

/// What a rule of these ports opens to a peer besides; `None`: it has none.
fn opens(peer: &str, direction: Direction, ports: Option<String>) -> String {
    let ports = ports.unwrap_or_else(|| "every port of every protocol".to_owned());
    match direction {
        Direction::Ingress => {
            format!("{peer} may then connect to every pod that the policy selects, on {ports}")
        }
        Direction::Egress => {
            format!("every pod that the policy selects may then connect to {peer}, on {ports}")
        }
    }
}

fn port(protocol: Protocol, port: Option<u16>) -> String {
    let name = protocol_name(protocol);
    port.map_or_else(|| name.to_owned(), |port| format!("{name} {port}"))
}

fn at_address(party: &Party<'_>) -> String {
    match (party.judged_pod(), party.address) {
        (Some(pod), Some(address)) => format!("{} ({address})", pod.name),
        _ => party.to_string(),
    }
}

/// A few names, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}

/// The ports of a rule; `None` for all of them.
fn ports(policy: &NetworkPolicy, direction: Direction, rule: u32) -> Option<String> {
    let rule = policy.rules(direction)?.get(usize::try_from(rule).ok()?)?;
    let ports: Vec<String> = rule.ports.iter().map(PortRule::to_string).collect();
    (!ports.is_empty()).then(|| ports.join(", "))
}

/// `podSelector role=frontend`, `namespaceSelector team=a, podSelector any`, `ipBlock 10.0.0.0/8`
pub fn shown_peer(peer: &Peer) -> String {
    let (namespaces, pods) = match peer {
        Peer::Block(block) => return format!("ipBlock {block}"),
        Peer::Pods { namespaces, pods } => (namespaces, pods),
    };
    let shown = |name: &str, selector: &palomar_model::selector::Selector| {
        if selector.requirements.is_empty() { format!("{name} any") } else { format!("{name} {selector}") }
    };
    let namespaces = namespaces.iter().map(|selector| shown("namespaceSelector", selector));
    let parts: Vec<String> = namespaces.chain(pods.iter().map(|pods| shown("podSelector", pods))).collect();
    parts.join(", ")
}

/// The verdict of a connection and who decided, in a line: for reports of tests.
pub fn in_short(told: &Told<'_>) -> String {
    let answer = &told.explanation.answer;
    let text = Text { manifests: told.manifests, told: &answer.missing, lines: String::new() };
    let mut parts = Vec::new();
    for (name, side) in [("egress", &answer.egress), ("ingress", &answer.ingress)] {
        let by: Vec<String> = side
            .by
            .iter()
            .map(|deciding| match deciding.rule {
                Some(rule) => text.placed(format!("{}[{rule}]", deciding.policy), deciding.policy),
                None => text.placed(deciding.policy.to_string(), deciding.policy),
            })
            .collect();
        let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
        parts.push(format!("{name} {}{by}", side.verdict));
    }
    parts.extend(answer.missing.iter().map(|missing| format!("not known: {missing}")));
    let verdict = match answer.verdict {
        Verdict::Allowed => "is allowed",
        Verdict::Denied => "is denied",
        Verdict::Undecidable => "cannot be decided",
    };
    format!("{verdict} ({})", parts.join("; "))
}
