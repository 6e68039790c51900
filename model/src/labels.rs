//! Kubernetes labels, and labels in Hubble's form (`k8s:role=frontend`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The labels of a Kubernetes object: key to value; a value may be empty.
pub type Labels = BTreeMap<String, String>;

/// One label in Hubble's form. Prints as `source:key=value`, or `source:key` where the value is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Where the label comes from: `k8s`, `reserved`, `cidr`.
    pub source: &'static str,
    /// The key, e.g. `io.kubernetes.pod.namespace`.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
}

impl Label {
    /// A label that Kubernetes gave.
    pub fn k8s(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { source: "k8s", key: key.into(), value: value.into() }
    }

    /// A reserved label, e.g. `reserved:world`.
    pub fn reserved(name: impl Into<String>) -> Self {
        Self { source: "reserved", key: name.into(), value: String::new() }
    }

    /// The label of a CIDR, e.g. `cidr:10.0.0.0/8`.
    pub fn cidr(cidr: impl fmt::Display) -> Self {
        Self { source: "cidr", key: cidr.to_string(), value: String::new() }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        Ok(())
    }
}

/// A set of labels, sorted and without repeats; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Arc<[Label]>);

impl LabelSet {
    /// A set from labels in any order.
    pub fn new(mut labels: Vec<Label>) -> Self {
        labels.sort();
        labels.dedup();
        Self(labels.into())
    }

    /// The labels, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.0.iter()
    }

    /// Each label's text, sorted.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
