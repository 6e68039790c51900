//! A `NetworkPolicy` as its author wrote it: the shape of `networking.k8s.io/v1`, nothing checked and no
//! default filled in. An absent field is `None`, and so is one that is written as `null`; an empty one is not.
//!
//! Unknown fields are errors: a misspelt `podSelector` must never select every pod.

use std::collections::BTreeMap;
use std::fmt;

use palomar_model::object::ObjectName;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// A policy before validation; see [`NetworkPolicyDraft::validate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicyDraft {
    /// From `metadata`.
    pub name: ObjectName,
    /// `spec`; `None` where the object has none.
    pub spec: Option<SpecDraft>,
}

/// `spec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecDraft {
    /// Which pods; required.
    pub pod_selector: Option<SelectorDraft>,
    /// `Ingress`, `Egress` or both. Absent or empty: `Ingress`, and `Egress` too if there is an egress rule.
    pub policy_types: Option<Vec<String>>,
    /// Absent and empty mean the same: no ingress rule.
    pub ingress: Option<Vec<IngressDraft>>,
    /// Absent and empty mean the same: no egress rule.
    pub egress: Option<Vec<EgressDraft>>,
}

/// A rule of `spec.ingress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressDraft {
    /// Absent or empty: every peer.
    pub from: Option<Vec<PeerDraft>>,
    /// Absent or empty: every port of every protocol.
    pub ports: Option<Vec<PortDraft>>,
}

/// A rule of `spec.egress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressDraft {
    /// Absent or empty: every peer.
    pub to: Option<Vec<PeerDraft>>,
    /// Absent or empty: every port of every protocol.
    pub ports: Option<Vec<PortDraft>>,
}

/// A peer: selectors or an `ipBlock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerDraft {
    /// Absent: every pod of the namespaces that `namespaceSelector` selects.
    pub pod_selector: Option<SelectorDraft>,
    /// Absent: the policy's own namespace.
    pub namespace_selector: Option<SelectorDraft>,
    /// A range of addresses; stands alone.
    pub ip_block: Option<IpBlockDraft>,
}

/// An `ipBlock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpBlockDraft {
    /// Required, e.g. `10.0.0.0/8`.
    pub cidr: Option<String>,
    /// Absent and empty mean the same: nothing is left out.
    pub except: Option<Vec<String>>,
}

/// One item of `ports`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortDraft {
    /// Absent: TCP.
    pub protocol: Option<String>,
    /// Absent: every port of the protocol.
    pub port: Option<PortValue>,
    /// The end of a range that begins at `port`, included. Absent: `port` alone.
    pub end_port: Option<i64>,
}

/// A port as written: a number, or the name of a container port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortValue {
    /// Any integer; not checked yet.
    Number(i64),
    /// Any text, a quoted number included.
    Name(String),
}

/// A label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorDraft {
    /// Absent and empty mean the same.
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Absent and empty mean the same.
    pub match_expressions: Option<Vec<ExpressionDraft>>,
}

/// One item of `matchExpressions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpressionDraft {
    /// Required.
    pub key: Option<String>,
    /// Required: `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: Option<String>,
    /// Required for `In` and `NotIn`, forbidden for the others.
    pub values: Option<Vec<String>>,
}

// === impl PortValue ===

impl<'de> Deserialize<'de> for PortValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;

        impl Visitor<'_> for NumberOrName {
            type Value = PortValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<PortValue, E> {
                Ok(PortValue::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<PortValue, E> {
                let signed = i64::try_from(number);
                signed
                    .map(PortValue::Number)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<PortValue, E> {
                Ok(PortValue::Name(name.to_owned()))
            }
        }

        deserializer.deserialize_any(NumberOrName)
    }
}
