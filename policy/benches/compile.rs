//! How long a world takes to become tables: 1,000 pods of 1,000 identities and 2,000 policies, all at once, for one
//! new pod, and where every policy selects every pod.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, PortRule, Ports, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::selector::Selector;
use palomar_model::world::World;
use palomar_policy::cidr::blocks_of;
use palomar_policy::{ClassTable, Compiler, IdentityLabels, PeerKey, PolicySet, Universe, select_subject};

const PODS: u32 = 1000;
const POLICIES: u32 = 2000;

/// A cluster of so many namespaces, with pods and policies spread over them.
fn cluster(namespaces: u32) -> (World, Universe) {
    let mut world = World::default();
    for number in 0..POLICIES {
        let policy = policy(&format!("ns{}", number % namespaces), number);
        world.policies.insert(policy.name.clone(), Arc::new(policy));
    }
    let mut universe = Universe::default();
    for number in 0..PODS {
        let namespace = format!("ns{}", number % namespaces);
        let pod_labels = Labels::from([
            ("app".into(), format!("app{}", number / namespaces % 10)),
            ("pod".into(), number.to_string()),
            ("tier".into(), format!("tier{}", number % 3)),
        ]);
        let labels = IdentityLabels {
            namespace_labels: Arc::new(world.namespace_labels(&namespace)),
            namespace: namespace.into(),
            pod_labels: Arc::new(pod_labels),
            named_ports: NamedPorts::default(),
        };
        universe.add_identity(1000 + number, labels).expect("not a reserved number");
    }
    let blocks = blocks_of(world.policies.values().map(|policy| &**policy));
    universe.add_classes(&ClassTable::default().classify(blocks).expect("few classes"));
    (world, universe)
}

/// Ingress from an app of the namespace and from a whole namespace on a port; egress to a block and to DNS.
fn policy(namespace: &str, number: u32) -> NetworkPolicy {
    let app = Selector::of_labels([("app", &*format!("app{}", number / 7 % 10))]);
    let port = u16::try_from(8000 + number % 20).expect("a port");
    let ports = |protocol, port| vec![PortRule { protocol, ports: Ports::Range(port, port) }];
    let block = IpBlock {
        cidr: format!("10.{}.0.0/16", number % 50).parse().expect("a CIDR"),
        except: vec![format!("10.{}.7.0/24", number % 50).parse().expect("a CIDR")],
    };
    let from = vec![
        Peer::Pods { namespaces: None, pods: Some(Selector::of_labels([("tier", "tier1")])) },
        Peer::Pods {
            namespaces: Some(Selector::of_labels([(
                "kubernetes.io/metadata.name",
                &*format!("ns{}", number % 11),
            )])),
            pods: None,
        },
    ];
    NetworkPolicy {
        name: ObjectName::new(namespace, format!("policy{number}")),
        pod_selector: if number.is_multiple_of(10) { Selector::default() } else { app },
        ingress: Some(vec![Rule { peers: from, ports: ports(Protocol::Tcp, port) }]),
        egress: Some(vec![
            Rule { peers: vec![Peer::Block(block)], ports: ports(Protocol::Tcp, 443) },
            Rule { peers: Vec::new(), ports: ports(Protocol::Udp, 53) },
        ]),
    }
}

fn sets(world: &World, universe: &Universe) -> Vec<PolicySet> {
    let pods = universe.identities().values();
    pods.map(|pod| select_subject(world, pod.subject())).collect()
}

fn distinct(mut sets: Vec<PolicySet>) -> Vec<PolicySet> {
    let mut seen = std::collections::HashSet::new();
    sets.retain(|set| seen.insert(set.clone()));
    sets
}

fn compile_all(sets: &[PolicySet], universe: &Universe) -> usize {
    let mut compiler = Compiler::new(universe);
    sets.iter().map(|set| compiler.compile(set).entries.len()).sum()
}

fn benches(criterion: &mut Criterion) {
    for namespaces in [50, 1] {
        let (world, universe) = cluster(namespaces);
        let selected = distinct(sets(&world, &universe));
        let entries = compile_all(&selected, &universe);
        eprintln!("{namespaces} namespaces: {} distinct sets, {entries} entries", selected.len());
        let mut group = criterion.benchmark_group(format!("{namespaces} namespaces"));
        group.sample_size(10);
        group.bench_function("select for every pod", |b| b.iter(|| black_box(sets(&world, &universe))));
        group
            .bench_function("compile every set", |b| b.iter(|| black_box(compile_all(&selected, &universe))));
        let added = universe.only([PeerKey::Identity(1000)]);
        group.bench_function("compile every set for a new identity", |b| {
            b.iter(|| {
                let mut compiler = Compiler::new(&added);
                let entries = selected.iter().map(|set| compiler.compile_peers(set).len());
                black_box(entries.sum::<usize>())
            });
        });
        group.bench_function("classify every block", |b| {
            let blocks = blocks_of(world.policies.values().map(|policy| &**policy));
            b.iter(|| black_box(ClassTable::default().classify(blocks.iter().copied())));
        });
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
