//! The compiled table, looked up as the kernel does, agrees with the oracle: on the verdict and on every rule that
//! allows, for every peer, address, protocol and port that these policies could tell apart.

mod generate;

use std::collections::BTreeSet;
use std::net::IpAddr;

use generate::{Cluster, addresses, block, cluster};
use palomar_model::netpol::{IpBlock, NetworkPolicy};
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::cidr::blocks_of;
use palomar_policy::set::select_labels;
use palomar_policy::{
    ClassTable, Classes, CompiledSet, Decision, PeerKey, PeerKind, PeerView, PolicySet, Probe, Subject,
    Traffic, Universe, compile, compile_for, decide,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The internal identity of the world.
const WORLD: u32 = 2;

/// A cluster with its classes, ready to be compiled.
struct Prepared {
    cluster: Cluster,
    classes: Classes,
    universe: Universe,
}

impl Prepared {
    fn new(cluster: Cluster) -> Self {
        Self::in_transition(cluster, &[])
    }

    /// With classes that also tell apart the blocks of policies that have gone or are yet to come.
    fn in_transition(cluster: Cluster, others: &[IpBlock]) -> Self {
        let policies = cluster.world.policies.values().map(|policy| &**policy);
        let blocks = blocks_of(policies).into_iter().chain(others);
        let classes = ClassTable::default().classify(blocks).expect("few classes");
        let mut universe = Universe::default();
        universe.add_classes(&classes);
        for (number, labels) in &cluster.identities {
            universe.add_identity(*number, labels.clone()).expect("not a reserved number");
        }
        Self { cluster, classes, universe }
    }

    fn policies(&self) -> impl Iterator<Item = &NetworkPolicy> {
        self.cluster.world.policies.values().map(|policy| &**policy)
    }

    fn endpoints(&self) -> impl Iterator<Item = Subject<'_>> {
        self.universe.identities().values().map(palomar_policy::IdentityLabels::subject)
    }

    fn select(&self, endpoint: Subject<'_>) -> PolicySet {
        select_labels(&self.cluster.world, endpoint.namespace, endpoint.pod_labels)
    }

    fn peers(&self) -> impl Iterator<Item = (u32, PeerKind<'_>)> {
        let pods = self.universe.identities().iter();
        let pods = pods.map(|(number, labels)| (*number, PeerKind::Pod(labels.subject())));
        pods.chain([(WORLD, PeerKind::Other)])
    }

    /// The ports at and beside both edges of every range that was written, and none.
    fn ports(&self) -> BTreeSet<Option<u16>> {
        let rules =
            self.policies().flat_map(|policy| Direction::BOTH.map(|direction| policy.rules(direction)));
        let ranges = rules.flatten().flatten().flat_map(|rule| &rule.ports).filter_map(|ports| ports.ports);
        let edges =
            ranges.flat_map(|(first, last)| [first.saturating_sub(1), first, last, last.saturating_add(1)]);
        edges.map(Some).chain([None, Some(0), Some(9), Some(u16::MAX)]).collect()
    }
}

fn agrees(
    prepared: &Prepared,
    endpoint: Subject<'_>,
    table: &CompiledSet,
    (identity, kind): (u32, PeerKind<'_>),
    address: IpAddr,
    traffic: Traffic,
) -> Result<(), TestCaseError> {
    let decision = decide(prepared.policies(), endpoint, PeerView { kind, address }, traffic);
    let Traffic { direction, protocol, port } = traffic;
    let class = prepared.classes.class_of(address);
    let found = table.lookup(&Probe { identity, class, direction, protocol, port });
    let isolated = table.isolates(direction);
    prop_assert_eq!(isolated, decision != Decision::NotIsolated);
    if isolated {
        prop_assert_eq!(found.allows(), decision.passes(), "{:?} {}", kind, address);
        let rules = found.rules();
        prop_assert_eq!(&*rules, decision.rules(), "{:?} {} {:?}", kind, address, traffic);
    }
    Ok(())
}

const PROTOCOLS: [Protocol; 5] =
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp, Protocol::Other(47)];

proptest! {
    /// Every peer and protocol; of the endpoints, addresses and ports a random choice, for the sake of time.
    #[test]
    fn the_compiled_table_agrees_with_the_oracle_on_every_probe(
        cluster in cluster(),
        others in vec(block(), 0..3),
        endpoint: Index,
        chosen_addresses in vec(select(addresses().collect::<Vec<_>>()), 4),
        chosen_ports: u64,
    ) {
        let prepared = Prepared::in_transition(cluster, &others);
        let ports = prepared.ports();
        let endpoint = *endpoint.get(&prepared.endpoints().collect::<Vec<_>>());
        let table = compile(&prepared.select(endpoint), &prepared.universe);
        for direction in Direction::BOTH {
            for peer in prepared.peers() {
                for address in &chosen_addresses {
                    for protocol in PROTOCOLS {
                        let ports = (0..).zip(&ports).filter(|(position, port)| {
                            port.is_none() || protocol.has_ports() && chosen_ports >> (position % 64) & 1 == 1
                        });
                        for (_, port) in ports {
                            let traffic = Traffic { direction, protocol, port: *port };
                            agrees(&prepared, endpoint, &table, peer, *address, traffic)?;
                        }
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
            .chain([PeerKey::Any])
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
            let key = |entry: &palomar_policy::Entry| (entry.peer, entry.direction, entry.scope);
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
