//! Security identities: the numbers that flows show, and which labels make one.

use std::fmt;

use crate::labels::{Label, LabelSet, Labels};

/// The number that users see for a set of labels: reserved 0–10, pods 256–65535, CIDRs from 16777217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u32);

impl Identity {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self(0);
    /// The node itself.
    pub const HOST: Self = Self(1);
    /// Anything outside the cluster.
    pub const WORLD: Self = Self(2);
    /// A local interface that no pod of the world is known for.
    pub const UNMANAGED: Self = Self(3);
    /// Another node of the cluster.
    pub const REMOTE_NODE: Self = Self(6);

    /// The least number given to a pod.
    pub const FIRST_POD: u32 = 256;
    /// The greatest number given to a pod.
    pub const LAST_POD: u32 = 65_535;
    /// The number shown for a world address is this plus its CIDR class (classes count from 1).
    pub const CIDR_BASE: u32 = 16_777_216;

    const RESERVED: [&'static str; 11] = [
        "unknown",
        "host",
        "world",
        "unmanaged",
        "health",
        "init",
        "remote-node",
        "kube-apiserver",
        "ingress",
        "world-ipv4",
        "world-ipv6",
    ];

    /// The name of a reserved identity; `None` for the others.
    pub fn reserved_name(self) -> Option<&'static str> {
        Self::RESERVED.get(usize::try_from(self.0).ok()?).copied()
    }

    /// All reserved identities with their names, in the order of their numbers.
    pub fn all_reserved() -> impl Iterator<Item = (Self, &'static str)> {
        (0..).zip(Self::RESERVED).map(|(number, name)| (Self(number), name))
    }

    /// The labels of a reserved identity; `None` for the others.
    pub fn reserved_labels(self) -> Option<LabelSet> {
        let name = self.reserved_name()?;
        let mut labels = vec![Label::reserved(name)];
        if name == "kube-apiserver" {
            labels.push(Label::reserved("remote-node"));
        }
        Some(LabelSet::new(labels))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Pod labels that change with each replica or rollout: left out of the identity, so that a rollout keeps the
/// number. A policy that selects on one of them still works, because policies read the pod's own labels.
pub const PER_REPLICA_LABELS: [&str; 8] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "controller-revision-hash",
    "controller-uid",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

/// Keys and prefixes of the labels that Palomar itself puts into an identity. A pod may not label itself into another
/// namespace, cluster or service account: its own labels of these keys are left out of the identity.
pub const RESERVED_KEYS: [&str; 2] = ["io.kubernetes.pod.namespace", "io.cilium.k8s."];

/// What a pod's identity is made of.
#[derive(Debug, Clone, Copy)]
pub struct PodIdentityParts<'a> {
    /// The name of the cluster, e.g. `default`.
    pub cluster: &'a str,
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The namespace's own labels.
    pub namespace_labels: &'a Labels,
    /// The pod's service account; `default` where the pod names none.
    pub service_account: &'a str,
    /// The pod's labels.
    pub pod_labels: &'a Labels,
}

impl PodIdentityParts<'_> {
    /// The identity's labels in Hubble's form, without the labels of [`PER_REPLICA_LABELS`].
    pub fn labels(self) -> LabelSet {
        let Self { cluster, namespace, namespace_labels, service_account, pod_labels } = self;
        let mut labels = vec![
            Label::k8s("io.cilium.k8s.policy.cluster", cluster),
            Label::k8s("io.cilium.k8s.policy.serviceaccount", service_account),
            Label::k8s("io.kubernetes.pod.namespace", namespace),
        ];
        labels.extend(
            namespace_labels
                .iter()
                .map(|(key, value)| Label::k8s(format!("io.cilium.k8s.namespace.labels.{key}"), value)),
        );
        labels.extend(
            pod_labels
                .iter()
                .filter(|(key, _)| !PER_REPLICA_LABELS.contains(&key.as_str()) && !is_reserved(key))
                .map(|(key, value)| Label::k8s(key, value)),
        );
        LabelSet::new(labels)
    }
}

fn is_reserved(key: &str) -> bool {
    RESERVED_KEYS.iter().any(|reserved| match reserved.strip_suffix('.') {
        Some(_) => key.starts_with(reserved),
        None => key == *reserved,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_replica_labels_stay_out_of_the_identity_and_the_rest_is_in() {
        let pod_labels =
            Labels::from([("role".into(), "frontend".into()), ("pod-template-hash".into(), "5d9c".into())]);
        let namespace_labels = Labels::from([("team".into(), "a".into())]);
        let labels = PodIdentityParts {
            cluster: "default",
            namespace: "np-demo",
            namespace_labels: &namespace_labels,
            service_account: "default",
            pod_labels: &pod_labels,
        }
        .labels();
        assert_eq!(
            labels.to_strings(),
            [
                "k8s:io.cilium.k8s.namespace.labels.team=a",
                "k8s:io.cilium.k8s.policy.cluster=default",
                "k8s:io.cilium.k8s.policy.serviceaccount=default",
                "k8s:io.kubernetes.pod.namespace=np-demo",
                "k8s:role=frontend",
            ]
        );
    }

    #[test]
    fn a_pod_cannot_label_itself_into_another_namespace() {
        let own = |key: &str| Labels::from([(key.to_owned(), "kube-system".to_owned())]);
        let parts = |pod_labels: &Labels| {
            let namespace_labels = Labels::new();
            PodIdentityParts {
                cluster: "default",
                namespace: "np-demo",
                namespace_labels: &namespace_labels,
                service_account: "default",
                pod_labels,
            }
            .labels()
        };
        let honest = parts(&Labels::new());
        for key in [
            "io.kubernetes.pod.namespace",
            "io.cilium.k8s.policy.serviceaccount",
            "io.cilium.k8s.namespace.labels.team",
        ] {
            assert_eq!(parts(&own(key)), honest, "{key}");
        }
        assert_ne!(parts(&own("io.kubernetes.pod.name")), honest);
    }

    #[test]
    fn reserved_numbers_have_hubbles_names() {
        assert_eq!(Identity::WORLD.reserved_name(), Some("world"));
        assert_eq!(Identity(10).reserved_name(), Some("world-ipv6"));
        assert_eq!(Identity(11).reserved_name(), None);
        assert_eq!(
            Identity(7).reserved_labels().map(|labels| labels.to_strings()),
            Some(vec!["reserved:kube-apiserver".into(), "reserved:remote-node".into()])
        );
    }
}
