//! The Kubernetes project's own `NetworkPolicy` truth tables, through the oracle and through the compiled table. The
//! tables are not part of this repository: `PALOMAR_NETPOL_E2E` names the file, or it lies at
//! `../shared/netpol/e2e.json` beside the workspace.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::verdict::Direction;
use palomar_model::world::{Namespace, World};
use palomar_policy::cidr::blocks_of;
use palomar_policy::draft::{NetworkPolicyDraft, SpecDraft};
use palomar_policy::{
    ClassTable, Classes, IdentityLabels, PeerKind, PeerView, Probe, Traffic, Universe, compile, decide,
    select_subject,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Step {
    case: String,
    #[serde(rename = "step")]
    number: u32,
    namespaces: Vec<NamespaceRow>,
    pods: Vec<PodRow>,
    policies: Vec<PolicyRow>,
    probe: ProbeRow,
    /// `namespace/pod` to `namespace/pod`: may the first connect to the second?
    expected: BTreeMap<String, BTreeMap<String, bool>>,
}

#[derive(Deserialize)]
struct NamespaceRow {
    name: String,
    labels: Labels,
}

#[derive(Deserialize)]
struct PodRow {
    namespace: String,
    name: String,
    ip: IpAddr,
    labels: Labels,
    ports: Vec<ContainerPort>,
}

#[derive(Deserialize)]
struct ContainerPort {
    name: String,
    port: u16,
    protocol: String,
}

#[derive(Deserialize)]
struct PolicyRow {
    metadata: Metadata,
    spec: SpecDraft,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
struct ProbeRow {
    port: u16,
    protocol: String,
}

/// One step as the crate's own types.
struct Cluster {
    world: World,
    classes: Classes,
    universe: Universe,
    /// Internal identity and address by `namespace/pod`.
    pods: BTreeMap<String, (u32, IpAddr)>,
}

#[test]
fn kubernetes_truth_tables_hold_where_the_file_is_there_else_not_run() {
    let path = std::env::var_os("PALOMAR_NETPOL_E2E").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/netpol/e2e.json")),
        PathBuf::from,
    );
    if !path.exists() {
        eprintln!("not run: no truth tables at {}; name the file in PALOMAR_NETPOL_E2E", path.display());
        return;
    }
    let text = std::fs::read_to_string(&path).expect("the truth tables can be read");
    let steps: Vec<Step> = serde_json::from_str(&text).expect("the truth tables have their known shape");
    let mut judged = 0;
    let mut wrong = Vec::new();
    for step in steps {
        let name = format!("{}, step {}", step.case, step.number);
        let (port, protocol) = (step.probe.port, protocol(&step.probe.protocol));
        let expected = step.expected.clone();
        let cluster = Cluster::of(step);
        for (from, row) in &expected {
            for (to, expected) in row {
                judged += 1;
                let probe = |direction| Traffic { direction, protocol, port: Some(port) };
                let passes = |endpoint, peer, direction| {
                    let (by_oracle, by_table) = cluster.judge(endpoint, peer, probe(direction));
                    assert_eq!(by_oracle, by_table, "{name}: {direction} of {endpoint} with {peer}");
                    by_oracle
                };
                let both = [passes(from, to, Direction::Egress), passes(to, from, Direction::Ingress)];
                if both.into_iter().all(|passes| passes) != *expected {
                    wrong.push(format!("{name}: {from} to {to} should be {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {judged} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged > 0, "the truth tables are empty");
    eprintln!("{judged} expectations hold");
}

fn protocol(name: &str) -> Protocol {
    match name {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        other => panic!("a probe of protocol {other}"),
    }
}

impl ContainerPort {
    fn named(&self) -> NamedPort {
        NamedPort { name: self.name.clone(), protocol: protocol(&self.protocol), number: self.port }
    }
}

impl Cluster {
    fn of(step: Step) -> Self {
        let Step { namespaces, pods: rows, policies, .. } = step;
        let mut world = World::default();
        for NamespaceRow { name, labels } in namespaces {
            world.namespaces.insert(name.clone(), Arc::new(Namespace { name, labels }));
        }
        for PolicyRow { metadata, spec } in policies {
            let name = ObjectName::new(metadata.namespace, metadata.name);
            let policy = NetworkPolicyDraft { name, spec: Some(spec) }.validate().expect("a valid policy");
            world.policies.insert(policy.name.clone(), Arc::new(policy));
        }
        let blocks = blocks_of(world.policies.values().map(|policy| &**policy));
        let classes = ClassTable::default().classify(blocks).expect("few classes");
        let mut universe = Universe::default();
        universe.add_classes(&classes);
        let mut pods = BTreeMap::new();
        for (number, PodRow { namespace, name, ip, labels, ports }) in (1000..).zip(rows) {
            pods.insert(format!("{namespace}/{name}"), (number, ip));
            let labels = IdentityLabels {
                namespace_labels: Arc::new(world.namespace_labels(&namespace)),
                namespace: namespace.into(),
                pod_labels: Arc::new(labels),
                named_ports: ports.iter().map(ContainerPort::named).collect(),
            };
            universe.add_identity(number, labels).expect("not a reserved number");
        }
        Self { world, classes, universe, pods }
    }

    /// Whether the traffic passes: by the oracle, and by the compiled table.
    fn judge(&self, endpoint: &str, peer: &str, traffic: Traffic) -> (bool, bool) {
        let identities = self.universe.identities();
        let endpoint = identities[&self.pods[endpoint].0].subject();
        let (identity, address) = self.pods[peer];
        let view = PeerView { kind: PeerKind::Pod(identities[&identity].subject()), address };
        let policies = self.world.policies.values().map(|policy| &**policy);
        let decision = decide(policies, endpoint, view, traffic);

        let set = select_subject(&self.world, endpoint);
        let table = compile(&set, &self.universe);
        let Traffic { direction, protocol, port } = traffic;
        let class = self.classes.class_of(address);
        let found = table.lookup(&Probe { identity, class, direction, protocol, port });
        (decision.passes(), !table.isolates(direction) || found.allows())
    }
}
