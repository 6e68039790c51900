//! The reader of manifests and what its policies go through: it takes or refuses every text as a whole, reads again what
//! it gave, and the policies that it took are compiled and decided, with one answer.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_manifest::parse;
use palomar_model::labels::Labels;
use palomar_model::netpol::{Ports, Rule};
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPorts;
use palomar_model::selector::{Requirement, Selector};
use palomar_model::verdict::Direction;
use palomar_model::world::{Pod, World};
use palomar_policy::cidr::{blocks_of, port_names_in_blocks};
use palomar_policy::explain::{End, Index, Prober};
use palomar_policy::{
    ClassTable, Decision, IdentityLabels, PeerKind, PeerView, Probe, Traffic, Universe, compile, decide,
    select_subject,
};

/// The internal identity of the world.
const WORLD: u32 = 2;
/// The first of those of pods.
const FIRST: u32 = 1_000;
/// Of each kind of thing that is asked about, no more than so many.
const MOST: usize = 12;

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = parse("fuzzed.yaml", &text);
    assert!(read.errors.is_empty() || read.objects.is_empty(), "a file is taken whole or refused whole");
    for error in &read.errors {
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
    let mut world = World::default();
    for object in read.objects {
        assert!(read.named.contains(&object.key), "{:?}", object.key);
        assert_eq!(parse("again.yaml", &object.source).errors, vec![], "{}", object.source);
        object.object.insert_into(&mut world);
    }
    if !world.policies.is_empty() {
        agree(&world);
        explain(&world);
    }
}

/// The oracle and the compiled table.
fn agree(world: &World) {
    let policies = || world.policies.values().map(|policy| &**policy);
    let pods: Vec<(IdentityLabels, Vec<IpAddr>)> = pods_of(world).take(MOST).collect();
    let mut table = ClassTable::default();
    let mut classes = table.classify(blocks_of(policies())).expect("few classes");
    let addresses = pods
        .iter()
        .flat_map(|(labels, addresses)| addresses.iter().map(|address| (*address, &labels.named_ports)));
    table.classify_pods(&mut classes, &port_names_in_blocks(policies()), addresses).expect("few classes");
    let mut universe = Universe::default();
    universe.add_classes(&classes);
    for (identity, (labels, _)) in (FIRST..).zip(&pods) {
        universe.add_identity(identity, labels.clone()).expect("not a reserved number");
    }
    let mut peers: Vec<(u32, PeerKind<'_>, IpAddr)> = Vec::new();
    for (identity, (labels, addresses)) in (FIRST..).zip(&pods) {
        peers.extend(addresses.iter().map(|at| (identity, PeerKind::Pod(labels.subject()), *at)));
    }
    peers.extend(outside(world).into_iter().take(MOST).map(|address| (WORLD, PeerKind::Other, address)));
    let ports = ports_of(world);
    for (labels, _) in &pods {
        let compiled = compile(&select_subject(world, labels.subject()), &universe);
        for (identity, kind, address) in &peers {
            let class = classes.class_of(*address);
            let peer = PeerView { kind: *kind, address: *address };
            for traffic in ports.iter().flat_map(|(protocol, port)| {
                Direction::BOTH.map(|direction| Traffic { direction, protocol: *protocol, port: *port })
            }) {
                let Traffic { direction, protocol, port } = traffic;
                let decision = decide(policies(), labels.subject(), peer, traffic);
                let found = compiled.lookup(&Probe { identity: *identity, class, direction, protocol, port });
                let is_isolated = decision != Decision::NotIsolated;
                assert_eq!(compiled.isolates(direction), is_isolated, "{labels:?} {traffic:?}");
                if is_isolated {
                    assert_eq!(found.allows(), decision.passes(), "{labels:?} {peer:?} {traffic:?}");
                    assert_eq!(&*found.rules(), decision.rules(), "{labels:?} {peer:?} {traffic:?}");
                }
            }
        }
    }
}

/// Pods of the world, and one for each policy that it selects, if any could be.
fn pods_of(world: &World) -> impl Iterator<Item = (IdentityLabels, Vec<IpAddr>)> {
    let labels = |namespace: &str, labels: Labels, named_ports: NamedPorts| IdentityLabels {
        namespace: namespace.into(),
        namespace_labels: Arc::new(world.namespace_labels(namespace)),
        pod_labels: Arc::new(labels),
        named_ports,
    };
    let judged = |pod: &&Arc<Pod>| !pod.host_network;
    let own = world.pods.values().filter(judged).map(move |pod| {
        let labels = labels(&pod.name.namespace, pod.labels.clone(), pod.named_ports.clone());
        (labels, pod.addresses.clone())
    });
    let selected = (0..).zip(world.policies.values()).map(move |(number, policy)| {
        let wanted = selected_by(&policy.pod_selector);
        let address = IpAddr::from([10, 250, 0, number]);
        (labels(&policy.name.namespace, wanted, NamedPorts::default()), vec![address])
    });
    selected.chain(own)
}

fn selected_by(selector: &Selector) -> Labels {
    let wanted = selector.requirements.iter().filter_map(|requirement| match requirement {
        Requirement::In(key, values) => Some((key.clone(), values.first()?.clone())),
        Requirement::Exists(key) => Some((key.clone(), String::new())),
        Requirement::NotIn(..) | Requirement::DoesNotExist(_) => None,
    });
    wanted.collect()
}

fn rules(world: &World) -> impl Iterator<Item = &Rule> {
    let policies = world.policies.values();
    policies.flat_map(|policy| Direction::BOTH.map(|direction| policy.rules(direction))).flatten().flatten()
}

/// Addresses of nobody: the first and the last ones of all blocks among them.
fn outside(world: &World) -> BTreeSet<IpAddr> {
    let blocks = blocks_of(world.policies.values().map(|policy| &**policy));
    let ranges = blocks.into_iter().flat_map(|block| [block.cidr].into_iter().chain(block.except.clone()));
    let edges = ranges.flat_map(|range| [range.network(), range.broadcast()]);
    edges.chain([IpAddr::from([198, 51, 100, 7])]).collect()
}

/// The edges of all ranges of ports, and what has no ports.
fn ports_of(world: &World) -> BTreeSet<(Protocol, Option<u16>)> {
    let mut ports = BTreeSet::from([(Protocol::Tcp, Some(9)), (Protocol::Icmp, None)]);
    for port in rules(world).flat_map(|rule| &rule.ports).take(MOST) {
        if let Ports::Range(first, last) = port.ports {
            let edges = [first.saturating_sub(1), first, last, last.saturating_add(1)];
            ports.extend(edges.map(|edge| (port.protocol, Some(edge))));
        }
    }
    ports
}

/// Every pod with every other.
fn explain(world: &World) {
    let index = Index::new(world);
    let mut prober = Prober::new(&index);
    let ends: Vec<End> = world.pods.keys().take(MOST).cloned().map(End::Pod).collect();
    for from in &ends {
        for to in &ends {
            let (from, to) = (prober.end(from), prober.end(to));
            let _ = prober.answer_between(from, to, Protocol::Tcp, Some(80));
        }
    }
}
