//! Three answers to one question: the API's documentation read naively, the oracle, and the compiled table looked up
//! as the kernel does. They agree on the verdict, on every rule that allows and on every policy that isolates, for
//! every peer, address, protocol and port that these policies could tell apart.

mod explain;
mod forms;
mod generate;
mod naive;
mod services;

use std::collections::BTreeSet;
use std::net::IpAddr;

use generate::{Cluster, Pod, block, cluster, world_addresses};
use naive::{Answer, ApiPeer, ApiPod};
use palomar_model::attribution::{PolicyRef, RuleRef};
use palomar_model::netpol::{IpBlock, NetworkPolicy, Ports};
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::cidr::{blocks_of, port_names_in_blocks};
use palomar_policy::{
    ClassTable, Classes, CompiledSet, Compiler, Decision, Entry, PeerKey, PeerKind, PeerView, PolicySet,
    Probe, Subject, Traffic, Universe, compile, decide, select_subject,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The internal identity of the world.
const WORLD: u32 = 2;

/// The entries of these peers alone, as an agent adds them to a set that is in use.
fn compile_for(set: &PolicySet, universe: &Universe, peers: &[PeerKey]) -> Vec<Entry> {
    let part = universe.only(peers.iter().copied());
    let mut entries = Compiler::new(&part).compile_peers(set);
    entries.retain(|entry| peers.contains(&entry.peer));
    entries
}

/// A cluster with its classes, ready to be compiled.
struct Prepared {
    cluster: Cluster,
    classes: Classes,
    universe: Universe,
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer<'p> {
    pod: Option<&'p Pod>,
    address: IpAddr,
}

impl Prepared {
    fn new(cluster: Cluster) -> Self {
        Self::in_transition(cluster, &[])
    }

    /// With classes that also tell apart the blocks of policies that have gone or are yet to come.
    fn in_transition(cluster: Cluster, others: &[IpBlock]) -> Self {
        let policies = || cluster.world.policies.values().map(|policy| &**policy);
        let blocks = blocks_of(policies()).into_iter().chain(others);
        let mut table = ClassTable::default();
        let mut classes = table.classify(blocks).expect("few classes");
        let pods = cluster.pods.iter();
        let addresses = pods.flat_map(|pod| pod.addresses.map(|address| (address, &pod.labels.named_ports)));
        table.classify_pods(&mut classes, &port_names_in_blocks(policies()), addresses).expect("few classes");
        let mut universe = Universe::default();
        universe.add_classes(&classes);
        for pod in &cluster.pods {
            universe.add_identity(pod.identity, pod.labels.clone()).expect("not a reserved number");
        }
        Self { cluster, classes, universe }
    }

    fn policies(&self) -> impl Iterator<Item = &NetworkPolicy> {
        self.cluster.world.policies.values().map(|policy| &**policy)
    }

    fn endpoints(&self) -> impl Iterator<Item = Subject<'_>> {
        self.cluster.pods.iter().map(|pod| pod.labels.subject())
    }

    fn select(&self, endpoint: Subject<'_>) -> PolicySet {
        select_subject(&self.cluster.world, endpoint)
    }

    fn peers(&self) -> impl Iterator<Item = Peer<'_>> {
        let pods = self.cluster.pods.iter();
        let pods = pods.flat_map(|pod| pod.addresses.map(|address| Peer { pod: Some(pod), address }));
        pods.chain(world_addresses().map(|address| Peer { pod: None, address }))
    }

    /// The ports at and beside both edges of every range that was written, those that have names, and none.
    fn ports(&self) -> BTreeSet<Option<u16>> {
        let rules =
            self.policies().flat_map(|policy| Direction::BOTH.map(|direction| policy.rules(direction)));
        let ranges =
            rules.flatten().flatten().flat_map(|rule| &rule.ports).filter_map(|rule| match rule.ports {
                Ports::Range(first, last) => Some((first, last)),
                Ports::Every | Ports::Named(_) => None,
            });
        let edges =
            ranges.flat_map(|(first, last)| [first.saturating_sub(1), first, last, last.saturating_add(1)]);
        let named = self.cluster.pods.iter().flat_map(|pod| pod.labels.named_ports.iter());
        let named = named.map(|port| port.number);
        edges.chain(named).map(Some).chain([None, Some(0), Some(9), Some(u16::MAX)]).collect()
    }

    /// What the documentation says, in the oracle's words.
    fn naive(&self, endpoint: Subject<'_>, peer: Peer<'_>, traffic: Traffic) -> Decision {
        let specs = &self.cluster.specs;
        let peer = ApiPeer { pod: peer.pod.map(|pod| api_pod(pod.labels.subject())), address: peer.address };
        let Traffic { direction, protocol, port } = traffic;
        match naive::judge(specs, &api_pod(endpoint), &peer, direction, protocol, port) {
            Answer::NotIsolated => Decision::NotIsolated,
            Answer::Allowed(rules) => {
                let rule = |(position, index): (usize, usize)| RuleRef {
                    policy: specs[position].0.clone(),
                    direction,
                    index: u32::try_from(index).expect("few rules"),
                };
                let mut rules: Vec<_> = rules.into_iter().map(rule).collect();
                rules.sort();
                Decision::Allowed(rules)
            }
            Answer::Denied(policies) => {
                let names = policies.into_iter().map(|position| specs[position].0.clone());
                let mut policies: Vec<_> = names.map(PolicyRef::network_policy).collect();
                policies.sort();
                Decision::Denied(policies)
            }
        }
    }
}

impl<'p> Peer<'p> {
    fn view(self) -> PeerView<'p> {
        let kind = self.pod.map_or(PeerKind::Other, |pod| PeerKind::Pod(pod.labels.subject()));
        PeerView { kind, address: self.address }
    }
}

fn api_pod(pod: Subject<'_>) -> ApiPod {
    let Subject { namespace, namespace_labels, pod_labels, named_ports } = pod;
    ApiPod {
        namespace: namespace.to_owned(),
        namespace_labels: namespace_labels.clone(),
        labels: pod_labels.clone(),
        ports: named_ports.iter().map(|port| (port.name.clone(), port.protocol, port.number)).collect(),
    }
}

fn agree(
    prepared: &Prepared,
    endpoint: Subject<'_>,
    table: &CompiledSet,
    peer: Peer<'_>,
    traffic: Traffic,
) -> Result<(), TestCaseError> {
    let decision = decide(prepared.policies(), endpoint, peer.view(), traffic);
    prop_assert_eq!(&decision, &prepared.naive(endpoint, peer, traffic), "{:?} {:?}", peer, traffic);
    let Traffic { direction, protocol, port } = traffic;
    let class = prepared.classes.class_of(peer.address);
    let identity = peer.pod.map_or(WORLD, |pod| pod.identity);
    let found = table.lookup(&Probe { identity, class, direction, protocol, port });
    let isolated = table.isolates(direction);
    prop_assert_eq!(isolated, decision != Decision::NotIsolated);
    if isolated {
        prop_assert_eq!(found.allows(), decision.passes(), "{:?} {:?}", peer, traffic);
        let rules = found.rules();
        prop_assert_eq!(&*rules, decision.rules(), "{:?} {:?}", peer, traffic);
    }
    Ok(())
}

const PROTOCOLS: [Protocol; 5] =
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp, Protocol::Other(47)];

proptest! {
    /// Every protocol; of the endpoints, peers and ports a random choice, for the sake of time.
    #[test]
    fn the_documentation_the_oracle_and_the_compiled_table_agree_on_every_probe(
        cluster in cluster(),
        others in vec(block(), 0..3),
        endpoint: Index,
        chosen_pods in vec(any::<Index>(), 4),
        chosen_others in vec(any::<Index>(), 4),
        chosen_ports: u64,
    ) {
        let prepared = Prepared::in_transition(cluster, &others);
        let ports = prepared.ports();
        let endpoint = *endpoint.get(&prepared.endpoints().collect::<Vec<_>>());
        let (pods, rest): (Vec<_>, Vec<_>) = prepared.peers().partition(|peer| peer.pod.is_some());
        let chosen_pods = chosen_pods.iter().map(|index| *index.get(&pods));
        let peers: Vec<_> = chosen_pods.chain(chosen_others.iter().map(|index| *index.get(&rest))).collect();
        let table = compile(&prepared.select(endpoint), &prepared.universe);
        for direction in Direction::BOTH {
            for peer in &peers {
                for protocol in PROTOCOLS {
                    let ports = (0..).zip(&ports).filter(|(position, port)| {
                        port.is_none() || protocol.has_ports() && chosen_ports >> (position % 64) & 1 == 1
                    });
                    for (_, port) in ports {
                        let traffic = Traffic { direction, protocol, port: *port };
                        agree(&prepared, endpoint, &table, *peer, traffic)?;
                    }
                }
            }
        }
    }

    #[test]
    fn a_part_compiled_alone_is_that_part_of_the_whole(cluster in cluster(), pick: u8) {
        let prepared = Prepared::new(cluster);
        let identities = prepared.universe.identities().keys().map(|number| PeerKey::Identity(*number));
        let classes = prepared.universe.classes().keys().map(|class| PeerKey::Class(*class));
        let peers: Vec<_> = identities
            .chain(classes)
            .enumerate()
            .filter(|(position, _)| pick >> (position % 8) & 1 == 1)
            .map(|(_, peer)| peer)
            .collect();
        for endpoint in prepared.endpoints() {
            let set = prepared.select(endpoint);
            let mut expected = compile(&set, &prepared.universe).entries;
            expected.retain(|entry| peers.contains(&entry.peer));
            prop_assert_eq!(compile_for(&set, &prepared.universe, &peers), expected);
        }
    }

    #[test]
    fn keys_are_unique_and_no_entry_repeats_a_less_specific_one_of_its_peer(cluster in cluster()) {
        let prepared = Prepared::new(cluster);
        for endpoint in prepared.endpoints() {
            let entries = compile(&prepared.select(endpoint), &prepared.universe).entries;
            let key = |entry: &Entry| (entry.peer, entry.direction, entry.scope);
            prop_assert!(entries.is_sorted_by(|one, other| key(one) < key(other)));
            for entry in &entries {
                prop_assert!(!entry.rules.is_empty());
                let repeated = entries.iter().find(|other| {
                    (other.peer, other.direction) == (entry.peer, entry.direction)
                        && other.scope != entry.scope
                        && other.scope.covers(entry.scope)
                        && other.rules == entry.rules
                });
                prop_assert_eq!(repeated, None);
            }
        }
    }
}
