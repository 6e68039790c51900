//! What things are called.

use palomar_model::labels::Labels;

use crate::random::Random;

/// The letters of generated names, as Kubernetes picks them.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

const NAMESPACES: [&str; 20] = [
    "analytics",
    "billing",
    "catalog",
    "checkout",
    "content",
    "data-platform",
    "experiments",
    "fraud-detection",
    "fulfilment",
    "identity",
    "inventory",
    "media",
    "messaging",
    "observability",
    "orders",
    "payments",
    "recommendations",
    "search",
    "sessions",
    "shipping",
];

pub(super) const NODE_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "amd64"),
    ("beta.kubernetes.io/os", "linux"),
    ("kubernetes.io/arch", "amd64"),
    ("kubernetes.io/hostname", "worker-1"),
    ("kubernetes.io/os", "linux"),
    ("node.kubernetes.io/instance-type", "m5.2xlarge"),
    ("topology.kubernetes.io/region", "eu-west-1"),
    ("topology.kubernetes.io/zone", "eu-west-1b"),
];

/// Pods that are alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tier {
    name: &'static str,
    pub(super) kind: Kind,
    pub(super) replicas: u32,
    pub(super) port: u16,
    pub(super) has_service: bool,
    /// How many labels beyond those that every pod has.
    more_labels: usize,
}

/// What owns the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
}

/// The tiers of every namespace but `kube-system`.
pub(super) const APPLICATIONS: [Tier; 4] = [
    Tier {
        name: "gateway",
        kind: Kind::Deployment,
        replicas: 2,
        port: 8443,
        has_service: true,
        more_labels: 0,
    },
    Tier { name: "api", kind: Kind::Deployment, replicas: 5, port: 8080, has_service: true, more_labels: 1 },
    Tier {
        name: "worker",
        kind: Kind::Deployment,
        replicas: 4,
        port: 9090,
        has_service: false,
        more_labels: 2,
    },
    Tier {
        name: "store",
        kind: Kind::StatefulSet,
        replicas: 1,
        port: 5432,
        has_service: true,
        more_labels: 2,
    },
];

/// The tiers of `kube-system`.
pub(super) const SYSTEM: [Tier; 2] = [
    Tier {
        name: "coredns",
        kind: Kind::Deployment,
        replicas: 2,
        port: 53,
        has_service: true,
        more_labels: 0,
    },
    Tier {
        name: "metrics-server",
        kind: Kind::Deployment,
        replicas: 2,
        port: 10_250,
        has_service: false,
        more_labels: 0,
    },
];

/// Every namespace and its tiers; `kube-system` comes first.
pub(super) fn namespaces() -> impl Iterator<Item = (&'static str, &'static [Tier])> {
    let system = std::iter::once(("kube-system", &SYSTEM[..]));
    system.chain(NAMESPACES.into_iter().map(|name| (name, &APPLICATIONS[..])))
}

/// The pods of some tiers.
pub(super) const fn count(tiers: &[Tier]) -> u32 {
    let (mut sum, mut at) = (0, 0);
    while at < tiers.len() {
        sum += tiers[at].replicas;
        at += 1;
    }
    sum
}

/// So many letters as at the end of a pod's name.
pub(super) fn suffix(length: usize, random: &mut Random) -> String {
    (0..length).map(|_| char::from(*random.pick(ALPHABET))).collect()
}

// === impl Tier ===

impl Tier {
    /// The name of the workload; in `kube-system` that of the tier alone.
    pub(super) fn workload(&self, namespace: &str) -> String {
        if namespace == "kube-system" { self.name.to_owned() } else { format!("{namespace}-{}", self.name) }
    }

    /// The name of the service before it.
    pub(super) fn service_name(&self, namespace: &str) -> String {
        if self.name == "coredns" { "kube-dns".to_owned() } else { self.workload(namespace) }
    }

    /// The pods' own labels: two to four.
    pub(super) fn labels(&self, namespace: &str) -> Labels {
        let workload = self.workload(namespace);
        let more = [("part-of", namespace.to_owned()), ("component", "backend".to_owned())];
        [("instance", format!("{workload}-prod")), ("name", workload)]
            .into_iter()
            .chain(more.into_iter().take(self.more_labels))
            .map(|(key, value)| (format!("app.kubernetes.io/{key}"), value))
            .collect()
    }
}

// === impl Kind ===

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}
