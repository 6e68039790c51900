//! Names of Kubernetes objects.

use std::fmt;

/// Namespace and name of a namespaced Kubernetes object. Prints as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The namespace; never empty for an object that was read from a source.
    pub namespace: String,
    /// The name; never empty for an object that was read from a source.
    pub name: String,
}

impl ObjectName {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The object that owns a pod: what Hubble calls a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Name, e.g. `web`.
    pub name: String,
    /// Kind, e.g. `Deployment`, `StatefulSet`, `Pod`.
    pub kind: String,
}
