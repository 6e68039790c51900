//! Reading the fields of a document: typed, with the path and line of whatever is wrong.

use std::net::IpAddr;

use palomar_model::labels::Labels;
use palomar_model::packet::Protocol;

use crate::error::{Problem, quoted};
use crate::load::MAX_PROBLEMS;
use crate::suggest::nearest;
use crate::syntax;
use crate::tree::{Node, Value};

const PROTOCOLS: [(&str, Protocol); 3] =
    [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)];

/// What is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, at: &At<'_>, reason: impl Into<String>) {
        self.push(Problem::new(at.node.line, at.path.clone(), reason));
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(problem);
        }
    }
}

/// A place in a document.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
}

/// A mapping whose field names have been checked.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    at: At<'a>,
}

/// Which field names a mapping may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'k> {
    /// Those that are read: a name that looks like a slip of one of them is an error.
    pub(crate) read: &'k [&'k str],
    /// Those that Kubernetes has there as well and that look alike.
    pub(crate) others: &'k [&'k str],
}

impl<'k> Known<'k> {
    pub(crate) const fn read(read: &'k [&'k str]) -> Self {
        Self { read, others: &[] }
    }
}

// === impl At ===

impl<'a> At<'a> {
    pub(crate) fn new(node: &'a Node, path: impl Into<String>) -> Self {
        Self { node, path: path.into() }
    }

    fn child(&self, node: &'a Node, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { node, path }
    }

    fn wrong_type(&self, problems: &mut Problems, expected: &str) {
        problems.add(self, format!("must be {expected}, not {}", self.node.kind_of_value()));
    }

    /// The fields of a mapping; nothing at all (`null`) counts as one without fields.
    pub(crate) fn fields(&self, problems: &mut Problems, known: Known<'_>) -> Option<Fields<'a>> {
        match &self.node.value {
            Value::Null => {}
            Value::Map(entries) => {
                for (key, _) in entries.iter() {
                    let is_known = known.read.contains(&&*key.text) || known.others.contains(&&*key.text);
                    if is_known {
                        continue;
                    }
                    if nearest(&key.text, known.read).is_some() {
                        let path = self.child(self.node, &key.text).path;
                        problems.push(Problem::new(key.line, path, unknown_field(&key.text, known.read)));
                    }
                }
            }
            _ => {
                self.wrong_type(problems, "a mapping");
                return None;
            }
        }
        Some(Fields { at: self.clone() })
    }

    pub(crate) fn string(&self, problems: &mut Problems) -> Option<&'a str> {
        let text = self.node.as_str();
        if text.is_none() {
            let advice = match self.node.value {
                Value::Bool(_) | Value::Int(_) | Value::Float(_) => "; put it in quotes",
                _ => "",
            };
            problems.add(self, format!("must be a string, not {}{advice}", self.node.kind_of_value()));
        }
        text
    }

    /// A string that satisfies a rule of syntax; the rule's error says what is wrong.
    pub(crate) fn checked(
        &self,
        problems: &mut Problems,
        rule: fn(&str) -> Result<(), String>,
    ) -> Option<&'a str> {
        let text = self.string(problems)?;
        match rule(text) {
            Ok(()) => Some(text),
            Err(reason) => {
                problems.add(self, reason);
                None
            }
        }
    }

    pub(crate) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        if let Value::Bool(value) = self.node.value {
            return Some(value);
        }
        self.wrong_type(problems, "true or false");
        None
    }

    pub(crate) fn port(&self, problems: &mut Problems) -> Option<u16> {
        let number = match self.node.value {
            Value::Int(number) => number,
            Value::Float(number) => {
                problems.add(self, format!("{number} is not a port (1–65535)"));
                return None;
            }
            _ => {
                self.wrong_type(problems, "a port number");
                return None;
            }
        };
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        if port.is_none() {
            problems.add(self, format!("{number} is not a port (1–65535)"));
        }
        port
    }

    /// A protocol that has ports.
    pub(crate) fn protocol(&self, problems: &mut Problems) -> Option<Protocol> {
        self.one_of(&PROTOCOLS, "a protocol", problems)
    }

    /// The items of a list; nothing at all (`null`) counts as an empty one.
    pub(crate) fn items(&self, problems: &mut Problems) -> Vec<Self> {
        match &self.node.value {
            Value::Null => Vec::new(),
            Value::Seq(items) => {
                let at = |(index, node)| Self { node, path: format!("{}[{index}]", self.path) };
                items.iter().enumerate().map(at).collect()
            }
            _ => {
                self.wrong_type(problems, "a list");
                Vec::new()
            }
        }
    }

    /// An address that a pod, a service or a node can have.
    pub(crate) fn address(&self, problems: &mut Problems) -> Option<IpAddr> {
        let text = self.string(problems)?;
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() || address.is_loopback() => {
                problems.add(self, format!("{address} cannot be the address of a pod, a service or a node"));
                None
            }
            Ok(address) => Some(address.to_canonical()),
            Err(_) => {
                problems.add(self, format!("{} is not an IP address", quoted(text)));
                None
            }
        }
    }

    /// An address that an endpoint of a service can have, and one outside the cluster that leads to a service.
    pub(crate) fn address_beyond_link(&self, problems: &mut Problems) -> Option<IpAddr> {
        let address = self.address(problems)?;
        let is_link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        if is_link_local {
            problems.add(self, format!("{address} is good on one link only: no service can lead there"));
            return None;
        }
        Some(address)
    }

    /// What a text means that may be only one of these.
    pub(crate) fn one_of<T: Copy>(
        &self,
        known: &[(&str, T)],
        what: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.string(problems)?;
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            problems.add(self, format!("{} is not {what} {}", quoted(text), choices(&names)));
        }
        found
    }

    /// A mapping of labels, keys and values checked.
    pub(crate) fn labels(&self, problems: &mut Problems) -> Labels {
        let mut labels = Labels::new();
        let Value::Map(entries) = &self.node.value else {
            if !self.node.is_null() {
                self.wrong_type(problems, "a mapping of strings");
            }
            return labels;
        };
        for (key, node) in entries.iter() {
            if let Err(reason) = syntax::label_key(&key.text) {
                problems.push(Problem::new(key.line, self.path.clone(), reason));
                continue;
            }
            let at = self.child(node, &key.text);
            // An absent value is an empty one, as it is for Kubernetes.
            let value = if node.is_null() { Some("") } else { at.checked(problems, syntax::label_value) };
            if let Some(value) = value {
                labels.insert(key.text.to_string(), value.to_owned());
            }
        }
        labels
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// A field; `None` where it is absent or `null`.
    pub(crate) fn get(&self, name: &str) -> Option<At<'a>> {
        self.get_even_null(name).filter(|at| !at.node.is_null())
    }

    pub(crate) fn get_even_null(&self, name: &str) -> Option<At<'a>> {
        self.at.node.field(name).map(|node| self.at.child(node, name))
    }

    /// A field of type string that Kubernetes treats as absent when it is empty.
    pub(crate) fn get_text(&self, name: &str) -> Option<At<'a>> {
        self.get(name).filter(|at| at.node.as_str() != Some(""))
    }

    /// The path that a field has, or would have.
    pub(crate) fn path_of(&self, name: &str) -> String {
        self.missing(name).path
    }

    /// The place of the mapping itself, under the path of one of its fields: for a field that is missing.
    pub(crate) fn missing(&self, name: &str) -> At<'a> {
        self.at.child(self.at.node, name)
    }
}

/// What is said of a field that is none of the known ones, and which of them it may be a slip of.
pub(crate) fn unknown_field(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(meant) => format!("unknown field; did you mean {meant}? {}", choices(known)),
        None => format!("unknown field {}", choices(known)),
    }
}

/// `(known: a, b)`
pub(crate) fn choices(names: &[&str]) -> String {
    format!("(known: {})", names.join(", "))
}
