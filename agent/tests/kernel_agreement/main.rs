//! Random clusters and policies, written to the kernel as the agent writes them, and packets through the real programs:
//! each is let through or dropped as the oracle decides, and the event names the rules, with how specific they are, or the
//! isolating policies, that the oracle names; of a service, by its address or by a port of the node, it is what the pods behind it come to. One
//! enforcer and its tables live through all clusters, so each case is also a change from the one before. Needs root, and
//! fails without.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod match_type;
mod node;
mod services;

#[expect(dead_code, reason = "the tests of the programs need more of it")]
#[path = "../../../bpf/tests/packets/craft.rs"]
mod craft;
#[expect(dead_code, reason = "the tests of the engine need more of it")]
#[path = "../../../policy/tests/agreement/generate.rs"]
mod generate;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use generate::{Cluster, Pod, cluster, world_addresses};
use node::{Node, Seen};
use palomar_model::attribution::PolicyRef;
use palomar_model::netpol::Ports;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::{Decision, PeerKind, PeerView, RuleSet, Traffic, decide, select_subject};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// What is asked about the pod at the interface.
#[derive(Debug, Clone, Copy)]
struct Question<'c> {
    pod: &'c Pod,
    /// The pod's own address, of the peer's family.
    own: IpAddr,
    peer: Option<&'c Pod>,
    address: IpAddr,
    traffic: Traffic,
}

/// The ports at and beside both edges of every range that was written, and those that have names.
fn ports(cluster: &Cluster) -> BTreeSet<u16> {
    let policies = cluster.world.policies.values();
    let rules = policies.flat_map(|policy| Direction::BOTH.map(|direction| policy.rules(direction)));
    let ranges = rules.flatten().flatten().flat_map(|rule| &rule.ports).filter_map(|rule| match rule.ports {
        Ports::Range(first, last) => Some((first, last)),
        Ports::Every | Ports::Named(_) => None,
    });
    let edges =
        ranges.flat_map(|(first, last)| [first.saturating_sub(1), first, last, last.saturating_add(1)]);
    let named = cluster.pods.iter().flat_map(|pod| pod.labels.named_ports.iter()).map(|port| port.number);
    edges.chain(named).chain([9, u16::MAX]).filter(|port| *port > 0).collect()
}

/// Everything about a pod that these policies could tell apart.
fn questions<'c>(cluster: &'c Cluster, pod: &'c Pod) -> Vec<Question<'c>> {
    let ports = ports(cluster);
    let of = |protocol| ports.iter().map(move |port| (protocol, Some(*port)));
    let services: Vec<_> = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().flat_map(of).collect();
    // a pod to itself is always allowed
    let others = cluster.pods.iter().filter(|other| other.identity != pod.identity);
    let pods = others.flat_map(|other| other.addresses.map(|address| (Some(other), address)));
    let peers = pods.chain(world_addresses().chain(node::ADDRESSES).map(|address| (None, address)));
    let mut questions = Vec::new();
    for (peer, address) in peers {
        let own = pod.addresses[usize::from(address.is_ipv6())];
        let icmp = if address.is_ipv4() { Protocol::Icmp } else { Protocol::Icmpv6 };
        // what comes from the node itself is not judged
        let is_node = node::ADDRESSES.contains(&address);
        for direction in Direction::BOTH.into_iter().filter(|way| !is_node || *way == Direction::Egress) {
            for (protocol, port) in services.iter().copied().chain([(icmp, None)]) {
                let traffic = Traffic { direction, protocol, port };
                questions.push(Question { pod, own, peer, address, traffic });
            }
        }
    }
    questions
}

/// What the oracle says, as far as a packet and its event can show it.
fn expected(cluster: &Cluster, question: Question<'_>) -> Seen {
    let Question { pod, peer, address, traffic, .. } = question;
    let kind = peer.map_or(PeerKind::Other, |peer| PeerKind::Pod(peer.labels.subject()));
    let policies = cluster.world.policies.values().map(|policy| &**policy);
    match decide(policies, pod.labels.subject(), PeerView { kind, address }, traffic) {
        Decision::NotIsolated => Seen::Unjudged,
        Decision::Allowed(rules) => {
            let policies = rules.iter().map(|rule| PolicyRef::network_policy(rule.policy.clone())).collect();
            let rules: Vec<_> = rules.into_iter().collect();
            let match_type = match_type::expected(cluster, question, &rules);
            Seen::Allowed(RuleSet::new(rules), policies, match_type)
        }
        Decision::Denied(policies) => Seen::Denied(policies.into_iter().collect()),
        Decision::Exempt(why) => panic!("no peer here is exempt: {why:?}"),
    }
}

fn count([unjudged, allowed, denied]: &mut [u64; 3], seen: &Seen) {
    *match seen {
        Seen::Unjudged => unjudged,
        Seen::Allowed(..) => allowed,
        Seen::Denied(_) => denied,
    } += 1;
}

#[test]
fn the_kernel_lets_through_what_the_oracle_allows_and_names_the_same_rules() {
    let (node, kinds) = (RefCell::new(Node::new()), RefCell::new([0_u64; 3]));
    // PROPTEST_CASES, 256 by default, is meant for cases that are shorter; with as many as `make test-long` asks for,
    // these are millions of packets
    let config = Config {
        cases: (Config::default().cases / 2).max(16),
        failure_persistence: None,
        ..Config::default()
    };
    let least = 10_000.max(200 * u64::from(config.cases));
    let result = TestRunner::new(config).run(&cluster(), |cluster| {
        let mut node = node.borrow_mut();
        let cluster = node.renumber(cluster);
        let ports: Vec<u16> = ports(&cluster).into_iter().collect();
        let services = services::before_pods(&cluster);
        let targets = services::targets(&services, &ports);
        for pod in &cluster.pods {
            node.enforce(&cluster, &targets, pod);
            let selecting = |pod: &Pod| select_subject(&cluster.world, pod.labels.subject());
            let own_policies = selecting(pod);
            for way in services.iter().flat_map(|service| service.ways(&ports)) {
                let own = pod.addresses[usize::from(way.address.is_ipv6())];
                let seen = node.send(own, way.address, way.asked());
                count(&mut kinds.borrow_mut(), &seen);
                let each = way.behind.iter().map(|peer| {
                    let address = peer.addresses[usize::from(way.address.is_ipv6())];
                    let traffic = way.given();
                    let seen = expected(&cluster, Question { pod, own, peer: Some(peer), address, traffic });
                    let of_peer = selecting(peer);
                    (seen, own_policies.iter().all(|own| of_peer.iter().any(|of| of.name == own.name)))
                });
                prop_assert_eq!(seen, way.expected(each), "{:?}", way);
            }
            for question in questions(&cluster, pod) {
                let Question { own, address, traffic, .. } = question;
                if targets.has_node_port(address, traffic) {
                    continue;
                }
                let seen = node.send(own, address, traffic);
                count(&mut kinds.borrow_mut(), &seen);
                prop_assert_eq!(seen, expected(&cluster, question), "{:?}", question);
            }
        }
        Ok(())
    });
    let packets = node.borrow().packets;
    assert!(result.is_ok(), "{}", result.unwrap_err());
    let [unjudged, allowed, denied] = kinds.into_inner();
    println!("{packets} packets: {unjudged} not judged, {allowed} allowed, {denied} denied");
    assert!(unjudged.min(allowed).min(denied) >= 2_000 && packets >= least, "too few of a kind");
}
