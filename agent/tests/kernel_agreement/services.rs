//! Services before the pods of a cluster: what leads to them, and what is expected of a connection.

use std::collections::BTreeSet;
use std::net::IpAddr;

use palomar_model::packet::Protocol;
use palomar_model::verdict::{Direction, MatchType};
use palomar_policy::service::Leads;
use palomar_policy::{RuleSet, Traffic};

use crate::generate::{Cluster, Pod};
use crate::node::{ADDRESSES, Seen, ServiceTargets};

const FIRST_NODE_PORT: usize = 30_000;

/// A service of one family.
#[derive(Debug)]
pub struct Service<'c> {
    number: usize,
    address: IpAddr,
    pub behind: Vec<&'c Pod>,
}

/// A port that a connection can be made to.
#[derive(Debug, Clone, Copy)]
pub struct Way<'s> {
    pub address: IpAddr,
    pub behind: &'s [&'s Pod],
    protocol: Protocol,
    port: u16,
    /// The port of the pods.
    target: u16,
    keeps_source: bool,
}

/// Of each family one service before each pod, and one before each pod and the next.
pub fn before_pods(cluster: &Cluster) -> Vec<Service<'_>> {
    let pods = &cluster.pods;
    let address = |number: usize, is_ipv6: bool| -> IpAddr {
        let text = if is_ipv6 { format!("fd00:96::{number:x}") } else { format!("10.96.0.{number}") };
        text.parse().unwrap()
    };
    (0..pods.len() * 2)
        .flat_map(|number| [(number, false), (number, true)])
        .map(|(number, is_ipv6)| {
            let behind = pods.iter().cycle().skip(number / 2).take(1 + number % 2);
            Service { number, address: address(number, is_ipv6), behind: behind.collect() }
        })
        .collect()
}

/// Where they lead: each port, of TCP and UDP, by the service's address and by the node's.
pub fn targets(services: &[Service<'_>], ports: &[u16]) -> ServiceTargets {
    let mut targets = ServiceTargets::default();
    for way in services.iter().flat_map(|service| service.ways(ports)) {
        let family = usize::from(way.address.is_ipv6());
        let of_address = if ADDRESSES.contains(&way.address) {
            &mut targets.node_ports[family]
        } else {
            targets.services.entry(way.address).or_default()
        };
        let backends = way.behind.iter().map(|pod| (pod.addresses[family], way.target)).collect();
        of_address.insert((way.protocol, way.port), Leads { backends, keeps_source: way.keeps_source });
    }
    targets
}

// === impl Service ===

impl Service<'_> {
    /// Everything that leads to it. A service has other ports than its backends.
    pub fn ways(&self, ports: &[u16]) -> impl Iterator<Item = Way<'_>> {
        let family = usize::from(self.address.is_ipv6());
        let first = FIRST_NODE_PORT + self.number * ports.len();
        let pairs: Vec<_> = ports.iter().copied().zip(first..).collect();
        pairs.into_iter().flat_map(move |(target, at_node)| {
            [Protocol::Tcp, Protocol::Udp].into_iter().flat_map(move |protocol| {
                let own = Way {
                    address: self.address,
                    behind: &self.behind,
                    protocol,
                    port: target.swap_bytes(),
                    target,
                    keeps_source: true,
                };
                let port = u16::try_from(at_node).unwrap();
                let keeps_source = self.number % 4 < 2;
                [own, Way { address: ADDRESSES[family], port, keeps_source, ..own }]
            })
        })
    }
}

// === impl Way ===

impl Way<'_> {
    /// What the pod sends.
    pub const fn asked(&self) -> Traffic {
        Traffic { direction: Direction::Egress, protocol: self.protocol, port: Some(self.port) }
    }

    /// What a backend gets.
    pub const fn given(&self) -> Traffic {
        Traffic { port: Some(self.target), ..self.asked() }
    }

    /// What the oracle says of each pod behind it comes to: all here are local. Each is given with whether it may be the
    /// pod itself that connects, for all that the policies of that pod know.
    pub fn expected(&self, each: impl Iterator<Item = (Seen, bool)>) -> Seen {
        let (mut rules, mut policies, mut is_denied) = (Vec::new(), BTreeSet::new(), None);
        let mut to_itself = false;
        for (seen, may_be_own) in each {
            match seen {
                Seen::Unjudged => return Seen::Unjudged,
                Seen::Denied(by) => {
                    is_denied = Some(by);
                    to_itself |= may_be_own;
                }
                Seen::Allowed(of_pod, of, _) => {
                    rules.extend(of_pod.iter().cloned());
                    policies.extend(of);
                }
            }
        }
        match is_denied {
            // the port is the service's, and so are its backends
            None => Seen::Allowed(RuleSet::new(rules), policies, MatchType::L3L4),
            Some(by) if rules.is_empty() && !to_itself || !self.keeps_source => Seen::Denied(by),
            // by whom, or that it may connect to itself, shows where it is delivered
            Some(_) => Seen::Unjudged,
        }
    }
}

// === impl ServiceTargets ===

impl ServiceTargets {
    /// Whether the node's port is a service's.
    pub fn has_node_port(&self, address: IpAddr, traffic: Traffic) -> bool {
        let of_family = &self.node_ports[usize::from(address.is_ipv6())];
        let port = |port| of_family.contains_key(&(traffic.protocol, port));
        ADDRESSES.contains(&address) && traffic.port.is_some_and(port)
    }
}
