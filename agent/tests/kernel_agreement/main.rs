//! Random clusters and policies, written to the kernel as the agent writes them, and packets through the real programs:
//! each is let through or dropped as the oracle decides, and the event names the rules, or the isolating policies, that
//! the oracle names; of a service it is what the pods behind it come to. One enforcer and its tables live through all clusters, so each case is also a change from the one before. Needs root, and
//! fails without.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod node;

#[expect(dead_code, reason = "the tests of the programs need more of it")]
#[path = "../../../bpf/tests/packets/craft.rs"]
mod craft;
#[expect(dead_code, reason = "the tests of the engine need more of it")]
#[path = "../../../policy/tests/agreement/generate.rs"]
mod generate;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use generate::{Cluster, Pod, cluster, world_addresses};
use node::{Node, Seen};
use palomar_model::attribution::PolicyRef;
use palomar_model::netpol::Ports;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_policy::service::{Leads, Targets};
use palomar_policy::{Decision, PeerKind, PeerView, RuleSet, Traffic, decide};
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

/// A service: its address, and the pods behind it.
type Service<'c> = (IpAddr, Vec<&'c Pod>);

/// Of each family one service before each pod, and one before each pod and the next.
fn services(cluster: &Cluster) -> Vec<Service<'_>> {
    let pods = &cluster.pods;
    let address = |number: usize, is_ipv6: bool| -> IpAddr {
        let text = if is_ipv6 { format!("fd00:96::{number:x}") } else { format!("10.96.0.{number}") };
        text.parse().unwrap()
    };
    (0..pods.len() * 2)
        .flat_map(|number| [(number, false), (number, true)])
        .map(|(number, is_ipv6)| {
            let behind = pods.iter().cycle().skip(number / 2).take(1 + number % 2);
            (address(number, is_ipv6), behind.collect())
        })
        .collect()
}

/// A service has another port than its backends.
const fn port_of_service(port: u16) -> u16 {
    port.swap_bytes()
}

/// Where the services lead: each port, of TCP and UDP.
fn targets(cluster: &Cluster, services: &[Service<'_>]) -> BTreeMap<IpAddr, Targets> {
    let ports = ports(cluster);
    let of = |(address, behind): &Service<'_>| {
        let targets = ports.iter().flat_map(|port| {
            let backends = behind.iter().map(|pod| (pod.addresses[usize::from(address.is_ipv6())], *port));
            let leads = Leads { backends: backends.collect(), keeps_source: true };
            [Protocol::Tcp, Protocol::Udp].map(|protocol| ((protocol, port_of_service(*port)), leads.clone()))
        });
        (*address, targets.collect())
    };
    services.iter().map(of).collect()
}

/// What the oracle says of the pods behind a service comes to: all here are local.
fn expected_of_service(
    cluster: &Cluster,
    pod: &Pod,
    (address, behind): &Service<'_>,
    traffic: Traffic,
) -> Seen {
    let each = behind.iter().map(|peer| {
        let at = peer.addresses[usize::from(address.is_ipv6())];
        let own = pod.addresses[usize::from(address.is_ipv6())];
        expected(cluster, Question { pod, own, peer: Some(peer), address: at, traffic })
    });
    let each: Vec<Seen> = each.collect();
    let (mut rules, mut policies, mut is_denied) = (Vec::new(), BTreeSet::new(), None);
    for seen in each {
        match seen {
            Seen::Unjudged => return Seen::Unjudged,
            Seen::Denied(by) => is_denied = Some(by),
            Seen::Allowed(of_pod, of) => {
                rules.extend(of_pod.iter().cloned());
                policies.extend(of);
            }
        }
    }
    match is_denied {
        None => Seen::Allowed(RuleSet::new(rules), policies),
        Some(by) if rules.is_empty() => Seen::Denied(by),
        // by whom shows where it is delivered
        Some(_) => Seen::Unjudged,
    }
}

/// Everything about a pod that these policies could tell apart.
fn questions<'c>(cluster: &'c Cluster, pod: &'c Pod) -> Vec<Question<'c>> {
    let ports = ports(cluster);
    let of = |protocol| ports.iter().map(move |port| (protocol, Some(*port)));
    let services: Vec<_> = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().flat_map(of).collect();
    // a pod to itself is always allowed
    let others = cluster.pods.iter().filter(|other| other.identity != pod.identity);
    let pods = others.flat_map(|other| other.addresses.map(|address| (Some(other), address)));
    let peers = pods.chain(world_addresses().map(|address| (None, address)));
    let mut questions = Vec::new();
    for (peer, address) in peers {
        let own = pod.addresses[usize::from(address.is_ipv6())];
        let icmp = if address.is_ipv4() { Protocol::Icmp } else { Protocol::Icmpv6 };
        for direction in Direction::BOTH {
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
            Seen::Allowed(RuleSet::new(rules.into_iter().collect()), policies)
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
        let services = services(&cluster);
        let targets = targets(&cluster, &services);
        for pod in &cluster.pods {
            node.enforce(&cluster, &targets, pod);
            // a pod that connects to itself may do so, which none of the others is to be taken for
            let others =
                services.iter().filter(|(_, behind)| behind.iter().all(|of| of.identity != pod.identity));
            for service in others {
                let own = pod.addresses[usize::from(service.0.is_ipv6())];
                for port in ports(&cluster) {
                    for protocol in [Protocol::Tcp, Protocol::Udp] {
                        let to_pod = Traffic { direction: Direction::Egress, protocol, port: Some(port) };
                        let traffic = Traffic { port: Some(port_of_service(port)), ..to_pod };
                        let seen = node.send(own, service.0, traffic);
                        count(&mut kinds.borrow_mut(), &seen);
                        let expected = expected_of_service(&cluster, pod, service, to_pod);
                        prop_assert_eq!(seen, expected, "{:?} {:?}", service, to_pod);
                    }
                }
            }
            for question in questions(&cluster, pod) {
                let Question { own, address, traffic, .. } = question;
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
