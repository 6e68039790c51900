//! Explanations agree with the oracle, the prober with the explanations, and the smallest change does what it says.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::labels::Labels;
use palomar_model::netpol::{NetworkPolicy, PortRule, Ports, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::{Namespace, Node, Pod, Service, ServicePort, TargetPort, World};
use palomar_policy::explain::{
    Answer, DirectionExplanation, End, Explanation, Index, Masquerade, Missing, Outcome, Party, Path,
    PathExplanation, Prober, Question, Source, Standing, Verdict, explain, smallest_change,
};
use palomar_policy::{Decision, PeerKind, PeerView, Traffic, decide};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use crate::forms::{self, NODE_PORT, OUTSIDE, forms};
use crate::generate::{Cluster, cluster, world_addresses};

const SERVICE: &str = "10.96.0.1";
pub const NODES: [(&str, &str); 2] = [("n0", "64.0.0.254"), ("n1", "96.0.0.254")];

/// The cluster's pods, some without an address, some that share the node's; nodes, and a service in each namespace.
pub fn world(cluster: &Cluster, kinds: &[u8]) -> World {
    let mut world = cluster.world.clone();
    for (name, address) in NODES {
        let addresses = vec![address.parse().expect("an address")];
        let node = Node { name: name.into(), addresses, labels: Labels::new() };
        world.nodes.insert(name.into(), Arc::new(node));
    }
    for (number, pod) in cluster.pods.iter().enumerate() {
        let kind = kinds.get(number).copied().unwrap_or_default();
        let name = ObjectName::new(&*pod.labels.namespace, format!("pod{number}"));
        let (node, address) = NODES[number % 2];
        let addresses = match kind {
            0..=3 => pod.addresses.to_vec(),
            4 | 5 => pod.addresses[..1].to_vec(),
            6 => Vec::new(),
            _ => vec![address.parse().expect("an address")],
        };
        let pod = Pod {
            labels: (*pod.labels.pod_labels).clone(),
            named_ports: pod.labels.named_ports.clone(),
            node: if kind == 5 { String::new() } else { node.into() },
            host_network: kind == 7,
            addresses,
            ..Pod::new(name.clone())
        };
        world.pods.insert(name, Arc::new(pod));
    }
    for (number, namespace) in ["a", "b"].into_iter().enumerate() {
        let address: IpAddr = SERVICE.replace(".1", &format!(".{}", number + 1)).parse().expect("an address");
        let port = |name: &str, port, target| ServicePort {
            name: name.to_owned(),
            protocol: Protocol::Tcp,
            port,
            target,
            node_port: None,
        };
        let service = Service {
            cluster_ips: if number == 0 { vec![address] } else { Vec::new() },
            ports: vec![
                port("one", 80, TargetPort::Number(81)),
                port("two", 81, TargetPort::Named("http".into())),
            ],
            selector: Some(Labels::new()),
            ..Service::new(ObjectName::new(namespace, "svc"))
        };
        world.services.insert(service.name.clone(), Arc::new(service));
    }
    world
}

/// Ends that there are, and a few that there are not.
fn ends(world: &World) -> Vec<End> {
    let pods = world.pods.values();
    let addresses = pods.clone().flat_map(|pod| pod.addresses.clone());
    let nodes = NODES.map(|(_, address)| End::Address(address.parse().expect("an address")));
    let services = world.services.keys().map(|name| End::Service(name.clone()));
    let outside = [End::Address(OUTSIDE.parse().expect("an address"))];
    let none = [End::Pod(ObjectName::new("a", "none")), End::Named(ObjectName::new("b", "svc"))];
    pods.map(|pod| End::Pod(pod.name.clone()))
        .chain(addresses.map(End::Address))
        .chain(world_addresses().take(6).map(End::Address))
        .chain(nodes)
        .chain(outside)
        .chain(world.services.values().flat_map(|service| service.cluster_ips.clone()).map(End::Address))
        .chain(services)
        .chain(none)
        .collect()
}

fn policies(world: &World) -> impl Iterator<Item = &NetworkPolicy> {
    world.policies.values().map(|policy| &**policy)
}

/// How a peer may be seen: at its own address, or at one that a node has put in its place.
#[derive(Debug, Clone, Copy)]
struct View {
    is_masked: bool,
    address: IpAddr,
}

/// The other end of a direction as it is seen, and the port.
fn seen<'w>(path: &Path<'w>, direction: Direction) -> (Party<'w>, Option<u16>) {
    match (direction, path.other_node) {
        (Direction::Ingress, _) => (path.from, path.port),
        (Direction::Egress, Some(node)) => node,
        (Direction::Egress, None) => (path.to, path.port),
    }
}

/// Every view that the end of this direction may have of its peer.
fn views(path: &Path<'_>, direction: Direction) -> Vec<View> {
    let (peer, _) = seen(path, direction);
    let own: Vec<IpAddr> = peer.address.map_or_else(|| world_addresses().collect(), |one| vec![one]);
    let own = own.into_iter().map(|address| View { is_masked: false, address });
    let is_ipv4 = peer.address.is_none_or(|address| address.is_ipv4());
    let nodes = NODES.map(|(_, address)| address.parse().expect("an address"));
    let masks = world_addresses().chain(nodes).filter(|mask| mask.is_ipv4() == is_ipv4);
    let masks = masks.map(|address| View { is_masked: true, address });
    match path.source {
        Source::Masked if direction == Direction::Ingress => masks.collect(),
        Source::MayBeMasked if direction == Direction::Ingress => own.chain(masks).collect(),
        _ => own.collect(),
    }
}

/// What the oracle says of one direction, were the peer seen so.
fn by_oracle(
    index: &Index<'_>,
    path: &Path<'_>,
    direction: Direction,
    protocol: Protocol,
    view: View,
) -> Option<Decision> {
    let own = if direction == Direction::Ingress { path.to } else { path.from };
    let (peer, port) = seen(path, direction);
    let endpoint = own.judged_pod()?;
    let kind = match peer.standing {
        Standing::Node { name, .. } if name == endpoint.node && !name.is_empty() => PeerKind::OwnNode,
        _ if view.is_masked => PeerKind::Other,
        // nobody could tell it from others behind the service
        Standing::Pod(pod)
            if pod.name == endpoint.name && (direction == Direction::Ingress || !path.is_hidden) =>
        {
            PeerKind::Itself
        }
        Standing::Pod(pod) => PeerKind::Pod(index.subject(pod)?),
        Standing::Node { .. } | Standing::Masked | Standing::Service(_) | Standing::World => PeerKind::Other,
    };
    let traffic = Traffic { direction, protocol, port };
    let peer = PeerView { kind, address: view.address };
    Some(decide(policies(index.world()), index.subject(endpoint)?, peer, traffic))
}

/// Whether a pod may connect whoever answers: it is not isolated, or a rule is for anyone on every port.
fn may_go_anywhere(index: &Index<'_>, pod: &Pod, protocol: Protocol) -> bool {
    let subject = index.subject(pod).expect("a pod with an address of its own");
    let own = policies(index.world())
        .filter(|policy| policy.name.namespace == pod.name.namespace)
        .filter(|policy| policy.pod_selector.matches(subject.pod_labels));
    let lists: Vec<_> = own.filter_map(|policy| policy.egress.as_ref()).collect();
    let is_whole = |port: &PortRule| port.protocol == protocol && port.ports == Ports::Every;
    let is_for_anyone =
        |rule: &Rule| rule.peers.is_empty() && (rule.ports.is_empty() || rule.ports.iter().any(is_whole));
    lists.is_empty() || lists.into_iter().flatten().any(is_for_anyone)
}

/// Whether it is not known who answers, which leaves ingress open.
fn is_open(path: &Path<'_>) -> bool {
    matches!(path.to.standing, Standing::Service(_))
}

/// A decided verdict is the oracle's, however the peer may be seen.
fn agrees(index: &Index<'_>, explanation: &Explanation<'_>, protocol: Protocol) -> Result<(), TestCaseError> {
    for path in &explanation.paths {
        if is_open(&path.path) {
            prop_assert_eq!(path.ingress.answer.verdict, Verdict::Undecidable);
        }
        let is_led = path.path.other_node.is_none();
        if let (Standing::Service(_), Some(pod), true) =
            (path.path.to.standing, path.path.from.judged_pod(), is_led)
        {
            let allowed = path.egress.answer.verdict == Verdict::Allowed;
            prop_assert_eq!(allowed, may_go_anywhere(index, pod, protocol), "{:?}", path.path);
        }
        for direction in Direction::BOTH {
            // nobody is asked of a service but where another node leads to it
            if is_open(&path.path) && (is_led || direction == Direction::Ingress) {
                continue;
            }
            let found = path.direction(direction);
            for view in views(&path.path, direction) {
                let Some(decision) = by_oracle(index, &path.path, direction, protocol, view) else {
                    prop_assert_eq!(found.answer.verdict, Verdict::Allowed);
                    continue;
                };
                prop_assert_eq!(found.answer.isolated, decision != Decision::NotIsolated);
                if found.answer.verdict != Verdict::Undecidable {
                    let allowed = found.answer.verdict == Verdict::Allowed;
                    prop_assert_eq!(allowed, decision.passes(), "{:?} {}", path.path, direction);
                }
                let (peer, _) = seen(&path.path, direction);
                if peer.address.is_some() && path.path.service.is_none() && found.exemption.is_none() {
                    let allows = found.rules.iter().filter(|rule| rule.outcome == Outcome::Allows);
                    let allowing: Vec<_> = allows.map(|rule| rule.rule.clone()).collect();
                    prop_assert_eq!(&allowing, decision.rules());
                }
            }
            for rule in &found.rules {
                if let Outcome::Fails(clauses) = &rule.outcome {
                    prop_assert!(!clauses.is_empty());
                    for clause in clauses {
                        prop_assert!(!clause.wanted.is_empty() && !clause.found.is_empty(), "{clause}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// The ways to a service's address are those to whom the documentation says that it leads.
fn leads_on(
    world: &World,
    masquerade: Masquerade,
    question: &Question,
    explanation: &Explanation<'_>,
) -> Result<(), TestCaseError> {
    let (End::Address(address), Some(port)) = (&question.to, question.port) else { return Ok(()) };
    let ends: BTreeSet<_> = explanation
        .paths
        .iter()
        .filter(|path| path.path.service.is_some() && !is_open(&path.path))
        .filter_map(|path| Some((path.path.to.address?, path.path.port?)))
        .collect();
    let Some(from) = explanation.paths.first().map(|path| path.path.from) else { return Ok(()) };
    let node = match from.standing {
        Standing::Pod(pod) => &*pod.node,
        Standing::Node { name, .. } => name,
        Standing::Masked | Standing::Service(_) | Standing::World => "",
    };
    let nodes = if node.is_empty() { NODES.map(|(name, _)| name).to_vec() } else { vec![node] };
    let on = |node| forms::expected(world, node, *address, question.protocol, port).unwrap_or_default();
    let expected: BTreeSet<_> = nodes.iter().flat_map(|node| on(node).0).collect();
    let keeps_source = on(nodes[0]).1;
    prop_assert!(ends.is_subset(&expected), "{:?} {:?}", ends, expected);
    if !explanation.paths.is_empty() && !explanation.paths.iter().any(|path| is_open(&path.path)) {
        prop_assert_eq!(&ends, &expected);
    }
    for path in explanation.paths.iter().filter(|path| path.path.service.is_some() && !is_open(&path.path)) {
        // of several services one may keep it
        prop_assert!(
            !keeps_source || path.path.source != Source::Masked || masquerade == Masquerade::All,
            "{:?}",
            path.path
        );
    }
    Ok(())
}

/// A way is closed by another of its family that may not be gone, and is then denied.
fn closes(explanation: &Explanation<'_>) -> Result<(), TestCaseError> {
    for path in &explanation.paths {
        let alone = path.egress.answer.verdict.both(path.ingress.answer.verdict);
        let Some(closing) = path.closed_by else {
            prop_assert_eq!(path.verdict, alone);
            continue;
        };
        prop_assert_eq!(
            (path.verdict, explanation.answer.egress.verdict == Verdict::Allowed),
            (Verdict::Denied, false)
        );
        prop_assert!(path.egress.answer.verdict != Verdict::Denied && path.path.source != Source::Kept);
        // a pod may stand behind it with several ports
        let mut others = explanation.paths.iter().filter(|other| other.path.to == closing);
        prop_assert!(others.any(|other| other.egress.answer.verdict == Verdict::Denied));
        prop_assert_eq!(
            closing.address.map(|address| address.is_ipv4()),
            path.path.to.address.map(|address| address.is_ipv4())
        );
    }
    Ok(())
}

/// A verdict is undecidable if and only if something is said to be missing.
fn is_whole(answer: &Answer<'_>) -> Result<(), TestCaseError> {
    prop_assert_eq!(answer.verdict == Verdict::Undecidable, !answer.missing.is_empty(), "{:?}", answer);
    for side in [&answer.egress, &answer.ingress] {
        prop_assert!(side.verdict != Verdict::Denied || side.isolated && !side.by.is_empty());
        prop_assert!(side.verdict != Verdict::Undecidable || side.by.is_empty());
    }
    Ok(())
}

fn question() -> impl Strategy<Value = (Pick, Pick, Protocol, Option<u16>)> {
    let protocols = select(vec![Protocol::Tcp, Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Icmp]);
    let ports = select(vec![1_u16, 2, 79, 80, 80, 81, 81, 1024, NODE_PORT, NODE_PORT, 65_535]);
    (any::<Pick>(), any::<Pick>(), protocols, ports)
        .prop_map(|(from, to, protocol, port)| (from, to, protocol, protocol.has_ports().then_some(port)))
}

proptest! {
    #[test]
    fn explanations_agree_with_the_oracle_and_the_prober_with_them(
        cluster in cluster(),
        kinds in vec(0..8_u8, 4),
        questions in vec(question(), 20),
        forms in forms(),
        masquerade in select(vec![Masquerade::FromOutside, Masquerade::All]),
    ) {
        let mut world = world(&cluster, &kinds);
        forms.apply(&mut world);
        let index = Index::new(&world).masquerading(masquerade);
        let mut prober = Prober::new(&index);
        let ends = ends(&world);
        for (from, to, protocol, port) in questions {
            let question = Question { from: from.get(&ends).clone(), to: to.get(&ends).clone(), protocol, port };
            let explanation = explain(&index, &question);
            agrees(&index, &explanation, protocol)?;
            is_whole(&explanation.answer)?;
            leads_on(&world, masquerade, &question, &explanation)?;
            closes(&explanation)?;
            prop_assert_eq!(&prober.answer(&question), &explanation.answer, "{:?}", question);
            prop_assert_eq!(&prober.answer(&question), &explanation.answer, "asked again");
        }
    }

    #[test]
    fn what_is_decided_without_the_labels_of_a_namespace_holds_whatever_they_are(
        cluster in cluster(),
        kinds in vec(0..8_u8, 4),
        questions in vec(question(), 20),
        untold in select(vec!["a", "b"]),
    ) {
        let mut told = world(&cluster, &kinds);
        for (name, namespace) in &told.namespaces.clone() {
            let mut namespace = Namespace::clone(namespace);
            namespace.labels.extend(Namespace::default_labels(name));
            told.namespaces.insert(name.clone(), Arc::new(namespace));
        }
        let mut without = told.clone();
        without.namespaces.remove(untold);
        let (full_index, index) = (Index::new(&told), Index::new(&without));
        let mut prober = Prober::new(&index);
        let ends = ends(&without);
        for (from, to, protocol, port) in questions {
            let question = Question { from: from.get(&ends).clone(), to: to.get(&ends).clone(), protocol, port };
            let explanation = explain(&index, &question);
            is_whole(&explanation.answer)?;
            prop_assert_eq!(&prober.answer(&question), &explanation.answer, "{:?}", question);
            let full = explain(&full_index, &question).answer;
            if explanation.answer.verdict != Verdict::Undecidable {
                prop_assert_eq!(explanation.answer.verdict, full.verdict, "{:?}", question);
            }
            for (side, full) in [
                (&explanation.answer.egress, full.egress),
                (&explanation.answer.ingress, full.ingress),
            ] {
                prop_assert!(side.verdict == Verdict::Undecidable || side.verdict == full.verdict);
                prop_assert!(side.by.iter().all(|by| full.by.contains(by)), "{:?}", question);
            }
        }
    }

    #[test]
    fn the_smallest_change_allows_closes_nothing_and_has_no_part_too_many(
        cluster in cluster(),
        kinds in vec(0..8_u8, 4),
        questions in vec(question(), 12),
        forms in forms(),
    ) {
        let mut before = world(&cluster, &kinds);
        forms.apply(&mut before);
        let index = Index::new(&before);
        let ends = ends(&before);
        for (from, to, protocol, port) in questions {
            let question = Question { from: from.get(&ends).clone(), to: to.get(&ends).clone(), protocol, port };
            let explanation = explain(&index, &question);
            let change = smallest_change(&index, protocol, &explanation);
            let differs = matches!(
                explanation.answer.missing.as_slice(),
                [Missing::WhichBackend { .. } | Missing::WhichFamily]
            );
            if explanation.answer.verdict != Verdict::Denied && !differs {
                prop_assert_eq!(change, None);
                continue;
            }
            let open = |side: &&DirectionExplanation<'_>| side.answer.verdict == Verdict::Undecidable;
            if explanation.paths.iter().any(|path| [&path.egress, &path.ingress].iter().any(open)) {
                prop_assert_eq!(change, None, "nothing is proposed where facts are missing");
                continue;
            }
            let is_masked = |path: &PathExplanation<'_>| {
                let (from, to) = (path.path.from.judged_pod(), path.path.to.judged_pod());
                let is_seen = matches!(path.path.source, Source::Kept | Source::KeptOfPods);
                path.path.service.is_some() && (from.is_none() || from == to || !is_seen)
            };
            let Some(change) = change else {
                prop_assert!(explanation.paths.iter().any(is_masked), "{:?}", question);
                continue;
            };
            let verdict_after = |skipped: Option<usize>| {
                let mut after = before.clone();
                let edits = change.edits.iter().enumerate().filter(|(at, _)| Some(*at) != skipped);
                edits.for_each(|(_, edit)| edit.apply(&mut after.policies));
                explain(&Index::new(&after), &question).answer.verdict
            };
            prop_assert_eq!(verdict_after(None), Verdict::Allowed, "{:?} {:?}", question, change);
            for skipped in 0..change.edits.len() {
                prop_assert_ne!(verdict_after(Some(skipped)), Verdict::Allowed, "{:?}", change);
            }
            let mut after = before.clone();
            change.apply(&mut after.policies);
            let after_index = Index::new(&after);
            let (mut old, mut new) = (Prober::new(&index), Prober::new(&after_index));
            for end in ends.iter().take(before.pods.len()) {
                for other in [Question { from: end.clone(), ..question.clone() }, Question { to: end.clone(), ..question.clone() }] {
                    let was_allowed = old.answer(&other).verdict == Verdict::Allowed;
                    prop_assert!(!was_allowed || new.answer(&other).verdict == Verdict::Allowed, "{:?}", other);
                }
            }
        }
    }
}
