//! The policies of the bench: they isolate both pods, and allow what the bench sends.

/// The namespace of its pods.
pub const NAMESPACE: &str = "bench";

/// Its file name and text.
pub const NAMESPACE_FILE: (&str, &str) =
    ("namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: bench}\n");

/// File name and text of the policies. A pod with another role than `client` is denied. The server may open nothing: in
/// its first minute a UDP packet may be an answer to what it has asked before, and what it may not ask is no such answer.
pub const FILE: (&str, &str) = (
    "policies.yaml",
    r"apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: bench, name: server}
spec:
  podSelector: {matchLabels: {role: server}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{podSelector: {matchLabels: {role: client}}}]
      ports: [{protocol: TCP, port: 7000, endPort: 7002}, {protocol: UDP, port: 7003}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: bench, name: client}
spec:
  podSelector: {matchLabels: {role: client}}
  policyTypes: [Egress]
  egress:
    - to: [{podSelector: {matchLabels: {role: server}}}]
      ports: [{protocol: TCP, port: 7000, endPort: 7002}, {protocol: UDP, port: 7003}]
",
);
