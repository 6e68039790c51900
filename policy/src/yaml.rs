//! A policy as YAML that kubectl takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use palomar_model::netpol::{NetworkPolicy, Peer, PortRule, Ports, Rule};
use palomar_model::selector::{Requirement, Selector};
use palomar_model::verdict::Direction;

/// Items to be marked with a comment, by direction, index of the rule and index in its list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    /// Items of `from` or `to`.
    pub peers: BTreeSet<(Direction, usize, usize)>,
    /// Items of `ports`.
    pub ports: BTreeSet<(Direction, usize, usize)>,
}

/// What stands behind a marked item.
const MARK: &str = "  # added";

/// The whole object, with its types written out. It means the same when it is read again.
pub fn to_yaml(policy: &NetworkPolicy, marked: &Marked) -> String {
    let NetworkPolicy { name, pod_selector, ingress, egress } = policy;
    let mut lines = Lines::default();
    lines.add(0, "apiVersion: networking.k8s.io/v1");
    lines.add(0, "kind: NetworkPolicy");
    lines.add(0, "metadata:");
    lines.add(1, &format!("name: {}", scalar(&name.name)));
    lines.add(1, &format!("namespace: {}", scalar(&name.namespace)));
    lines.add(0, "spec:");
    lines.selector(1, "podSelector", pod_selector, "");
    lines.add(1, "policyTypes:");
    for (direction, rules) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
        if rules.is_some() {
            lines
                .add(1, &format!("- {}", if direction == Direction::Ingress { "Ingress" } else { "Egress" }));
        }
    }
    for (direction, rules) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
        if let Some(rules) = rules {
            lines.rules(direction, rules, marked);
        }
    }
    lines.text
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
}

impl Lines {
    /// A line at a depth of two columns each.
    fn add(&mut self, depth: usize, line: &str) {
        writeln!(self.text, "{:1$}{line}", "", depth * 2).expect("invariant: a String takes everything");
    }

    fn rules(&mut self, direction: Direction, rules: &[Rule], marked: &Marked) {
        if rules.is_empty() {
            return self.add(1, &format!("{direction}: []"));
        }
        self.add(1, &format!("{direction}:"));
        for (number, rule) in rules.iter().enumerate() {
            self.rule(direction, number, rule, marked);
        }
    }

    fn rule(&mut self, direction: Direction, number: usize, rule: &Rule, marked: &Marked) {
        let Rule { peers, ports } = rule;
        let side = if direction == Direction::Ingress { "from" } else { "to" };
        let mut begins = "- ";
        if peers.is_empty() && ports.is_empty() {
            return self.add(1, "- {}");
        }
        if !peers.is_empty() {
            self.add(1, &format!("{begins}{side}:"));
            begins = "  ";
            for (at, peer) in peers.iter().enumerate() {
                self.peer(peer, mark(&marked.peers, (direction, number, at)));
            }
        }
        if !ports.is_empty() {
            self.add(1, &format!("{begins}ports:"));
            for (at, port) in ports.iter().enumerate() {
                self.port(port, mark(&marked.ports, (direction, number, at)));
            }
        }
    }

    fn peer(&mut self, peer: &Peer, mark: &str) {
        match peer {
            Peer::Block(block) => {
                self.add(2, &format!("- ipBlock:{mark}"));
                self.add(4, &format!("cidr: {}", scalar(&block.cidr.to_string())));
                if !block.except.is_empty() {
                    self.add(4, "except:");
                }
                for except in &block.except {
                    self.add(4, &format!("- {}", scalar(&except.to_string())));
                }
            }
            Peer::Pods { namespaces, pods } => {
                let fields = [("namespaceSelector", namespaces), ("podSelector", pods)];
                let fields =
                    fields.into_iter().filter_map(|(name, selector)| Some((name, selector.as_ref()?)));
                for (position, (name, selector)) in fields.enumerate() {
                    if position == 0 {
                        self.selector(2, &format!("- {name}"), selector, mark);
                    } else {
                        self.selector(3, name, selector, "");
                    }
                }
            }
        }
    }

    fn port(&mut self, port: &PortRule, mark: &str) {
        self.add(2, &format!("- protocol: {}{mark}", port.protocol));
        match &port.ports {
            Ports::Every => {}
            Ports::Named(name) => self.add(3, &format!("port: {}", scalar(name))),
            Ports::Range(first, last) => {
                self.add(3, &format!("port: {first}"));
                if first != last {
                    self.add(3, &format!("endPort: {last}"));
                }
            }
        }
    }

    /// `field` may begin an item of a list, whose fields stand two columns further to the right.
    fn selector(&mut self, depth: usize, field: &str, selector: &Selector, mark: &str) {
        let inner = if field.starts_with("- ") { depth + 2 } else { depth + 1 };
        if selector.requirements.is_empty() {
            return self.add(depth, &format!("{field}: {{}}{mark}"));
        }
        self.add(depth, &format!("{field}:{mark}"));
        let (labels, rest) = split(selector);
        if !labels.is_empty() {
            self.add(inner, "matchLabels:");
        }
        for (key, value) in labels {
            self.add(inner + 1, &format!("{}: {}", scalar(key), scalar(value)));
        }
        if !rest.is_empty() {
            self.add(inner, "matchExpressions:");
        }
        for requirement in rest {
            self.requirement(inner, requirement);
        }
    }

    fn requirement(&mut self, depth: usize, requirement: &Requirement) {
        let (operator, values) = match requirement {
            Requirement::In(_, values) => ("In", values.as_slice()),
            Requirement::NotIn(_, values) => ("NotIn", values.as_slice()),
            Requirement::Exists(_) => ("Exists", &[][..]),
            Requirement::DoesNotExist(_) => ("DoesNotExist", &[][..]),
        };
        self.add(depth, &format!("- key: {}", scalar(requirement.key())));
        self.add(depth + 1, &format!("operator: {operator}"));
        if !values.is_empty() {
            self.add(depth + 1, "values:");
        }
        for value in values {
            self.add(depth + 1, &format!("- {}", scalar(value)));
        }
    }
}

/// What can stand in `matchLabels`, which holds each key once, and the rest in its order.
fn split(selector: &Selector) -> (BTreeMap<&str, &str>, Vec<&Requirement>) {
    let (mut labels, mut rest) = (BTreeMap::new(), Vec::new());
    for requirement in &selector.requirements {
        match requirement {
            Requirement::In(key, values) if values.len() == 1 && !labels.contains_key(key.as_str()) => {
                labels.insert(key.as_str(), values[0].as_str());
            }
            other => rest.push(other),
        }
    }
    (labels, rest)
}

fn mark(marked: &BTreeSet<(Direction, usize, usize)>, item: (Direction, usize, usize)) -> &'static str {
    if marked.contains(&item) { MARK } else { "" }
}

/// Text as YAML reads it back: in quotes where it might be taken for something else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    // Names, labels and ranges of addresses hold nothing that quotes would not do for.
    if is_plain || is_cidr(text) { text.to_owned() } else { format!("{text:?}") }
}

/// Ranges of IPv4 are plain in every reader; those of IPv6 have colons.
fn is_cidr(text: &str) -> bool {
    text.contains('/') && text.bytes().all(|byte| byte.is_ascii_digit() || b"./".contains(&byte))
}

#[cfg(test)]
mod tests {
    use palomar_model::object::ObjectName;

    use super::*;

    #[test]
    fn every_part_of_a_policy_is_written_and_what_was_added_is_marked() {
        let block = |cidr: &str, except: &[&str]| {
            let except = except.iter().map(|net| net.parse().unwrap()).collect();
            Peer::Block(palomar_model::netpol::IpBlock { cidr: cidr.parse().unwrap(), except })
        };
        let requirements = vec![
            Requirement::In("app".into(), vec!["web".into()]),
            Requirement::In("tier".into(), vec!["1".into(), "true".into()]),
            Requirement::Exists("x.io/y".into()),
        ];
        let peers = vec![
            Peer::Pods {
                namespaces: Some(Selector::of_labels([("team", "a")])),
                pods: Some(Selector::default()),
            },
            Peer::Pods { namespaces: None, pods: Some(Selector { requirements }) },
            block("10.0.0.0/8", &["10.1.0.0/16"]),
            block("fd00::/8", &[]),
        ];
        let port = |ports| PortRule { protocol: palomar_model::packet::Protocol::Tcp, ports };
        let ports =
            vec![port(Ports::Range(80, 80)), port(Ports::Range(1, 9)), port(Ports::Named("http".into()))];
        let policy = NetworkPolicy {
            name: ObjectName::new("shop", "web"),
            pod_selector: Selector::default(),
            ingress: Some(vec![Rule { peers, ports }, Rule { peers: vec![], ports: vec![] }]),
            egress: Some(vec![]),
        };
        let marked = Marked {
            peers: BTreeSet::from([(Direction::Ingress, 0, 0), (Direction::Ingress, 0, 2)]),
            ports: BTreeSet::from([(Direction::Ingress, 0, 1)]),
        };
        assert_eq!(to_yaml(&policy, &marked), include_str!("yaml/written.yaml"));
    }
}
