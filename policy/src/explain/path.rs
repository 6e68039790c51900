//! From a question to the ways that the connection may take: one for each address family, and for each pod behind a
//! service.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Pod, Service, ServicePort};

use super::index::{Index, Owner};
use super::missing::Missing;
use super::question::{End, Question};
use crate::behind::Behind;

/// A way that the connection may take, from pod to pod: what a service was in between has been resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'w> {
    /// Who connects.
    pub from: Party<'w>,
    /// Who answers.
    pub to: Party<'w>,
    /// The destination port at the end that answers.
    pub port: Option<u16>,
    /// The service whose address the client connects to; `None` where it connects to the other end itself.
    pub service: Option<&'w ObjectName>,
}

/// One end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party<'w> {
    /// Who it is.
    pub standing: Standing<'w>,
    /// Its address on this path; `None` for a pod that has none yet.
    pub address: Option<IpAddr>,
}

/// Who an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'w> {
    /// A pod with an address of its own, which policies judge.
    Pod(&'w Pod),
    /// A node, or a pod that shares its network: no selector reaches it and no policy judges it.
    Node {
        /// The node's name; empty where it is not known.
        name: &'w str,
        /// The host-network pod that was asked for, if it was one.
        pod: Option<&'w Pod>,
    },
    /// Whoever a node hides behind its address, which is all that is seen. Egress was judged where it came from.
    Masked,
    /// Anyone else.
    World,
}

/// An end that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'w> {
    Party(Standing<'w>, Vec<IpAddr>),
    /// A service, and the one of its addresses that was asked for.
    Service(&'w Service, Option<IpAddr>),
}

/// Where a connection may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'w> {
    pub(super) party: Party<'w>,
    pub(super) port: Option<u16>,
    pub(super) service: Option<&'w ObjectName>,
}

/// Every way that the connection may take; never empty. Or what is not known of either end.
pub(super) fn resolve<'w>(index: &Index<'w>, question: &Question) -> Result<Vec<Path<'w>>, Vec<Missing>> {
    let from = find(index, &question.from).and_then(|found| sources(&found));
    let to =
        find(index, &question.to).and_then(|found| targets(index, &found, question.protocol, question.port));
    match (from, to) {
        (Ok(sources), Ok(targets)) => paths(&sources, &targets, question).map_err(|missing| vec![missing]),
        (sources, targets) => Err([sources.err(), targets.err()].into_iter().flatten().collect()),
    }
}

/// Looks an end up.
pub(super) fn find<'w>(index: &Index<'w>, end: &End) -> Result<Found<'w>, Missing> {
    let world = index.world();
    match end {
        End::Address(address) => find_address(index, *address),
        End::Masked(address) => Ok(Found::Party(Standing::Masked, vec![*address])),
        End::Pod(name) => match world.pods.get(name) {
            Some(pod) => find_pod(index, pod),
            None => Err(Missing::Pod { name: name.clone(), near_names: index.near_names(name) }),
        },
        End::Service(name) => match world.services.get(name) {
            Some(service) => Ok(Found::Service(service, None)),
            None => Err(Missing::Service { name: name.clone() }),
        },
        End::Named(name) => match (world.pods.get(name), world.services.get(name)) {
            (Some(pod), _) => find_pod(index, pod),
            (None, Some(service)) => Ok(Found::Service(service, None)),
            (None, None) => {
                Err(Missing::PodOrService { name: name.clone(), near_names: index.near_names(name) })
            }
        },
    }
}

fn find_address<'w>(index: &Index<'w>, address: IpAddr) -> Result<Found<'w>, Missing> {
    let standing = match index.owner(address) {
        None => Standing::World,
        Some(Owner::Pod(pod)) => Standing::Pod(pod),
        Some(Owner::Node(name, pod)) => Standing::Node { name, pod: *pod },
        Some(Owner::Service(service)) => return Ok(Found::Service(service, Some(address))),
        Some(Owner::Pods(pods)) => {
            return Err(Missing::Owner { address, pods: pods.iter().map(|pod| pod.name.clone()).collect() });
        }
    };
    Ok(Found::Party(standing, vec![address]))
}

fn find_pod<'w>(index: &Index<'w>, pod: &'w Pod) -> Result<Found<'w>, Missing> {
    if pod.has_ended {
        return Err(Missing::Ended { name: pod.name.clone() });
    }
    if pod.host_network {
        return Ok(Found::Party(Standing::Node { name: &pod.node, pod: Some(pod) }, pod.addresses.clone()));
    }
    pod.addresses.iter().try_for_each(|address| index.check_owner(pod, *address))?;
    Ok(Found::Party(Standing::Pod(pod), pod.addresses.clone()))
}

/// Where a connection from this end may begin; never empty.
pub(super) fn sources<'w>(from: &Found<'w>) -> Result<Vec<Party<'w>>, Missing> {
    match from {
        Found::Party(standing, addresses) => Ok(standing.at_each(addresses)),
        Found::Service(service, _) => Err(Missing::Client { service: service.name.clone() }),
    }
}

/// Where a connection to this end may lead; never empty.
pub(super) fn targets<'w>(
    index: &Index<'w>,
    to: &Found<'w>,
    protocol: Protocol,
    port: Option<u16>,
) -> Result<Vec<Target<'w>>, Missing> {
    match to {
        Found::Party(standing, addresses) => {
            let parties = standing.at_each(addresses).into_iter();
            Ok(parties.map(|party| Target { party, port, service: None }).collect())
        }
        Found::Service(service, address) => backends(index, service, *address, protocol, port),
    }
}

/// Every pair of one address family; an end without an address goes with any.
fn paths<'w>(
    sources: &[Party<'w>],
    targets: &[Target<'w>],
    question: &Question,
) -> Result<Vec<Path<'w>>, Missing> {
    let pairs = sources.iter().flat_map(|from| targets.iter().map(move |target| (from, target)));
    let paths: Vec<_> = pairs.filter_map(|(from, target)| target.path_from(*from)).collect();
    if paths.is_empty() { Err(no_family(&question.from, &question.to)) } else { Ok(paths) }
}

/// What is missing where there is no such pair.
pub(super) fn no_family(from: &End, to: &End) -> Missing {
    Missing::Family { from: from.to_string(), to: to.to_string() }
}

// === impl Target ===

impl<'w> Target<'w> {
    /// The way from this source, if it is of the same address family.
    pub(super) fn path_from(&self, from: Party<'w>) -> Option<Path<'w>> {
        let Self { party: to, port, service } = *self;
        let have_family = match (from.address, to.address) {
            (Some(own), Some(its)) => own.is_ipv4() == its.is_ipv4(),
            (None, _) | (_, None) => true,
        };
        have_family.then_some(Path { from, to, port, service })
    }
}

fn backend(pod: &Pod) -> Standing<'_> {
    if pod.host_network { Standing::Node { name: &pod.node, pod: Some(pod) } } else { Standing::Pod(pod) }
}

/// Those behind a service's port, each with an address of a family that the service has, and the port there.
fn backends<'w>(
    index: &Index<'w>,
    service: &'w Service,
    address: Option<IpAddr>,
    protocol: Protocol,
    port: Option<u16>,
) -> Result<Vec<Target<'w>>, Missing> {
    let behind = index.behind(service);
    if matches!(behind, Behind::Unknown) {
        return Err(Missing::Backends { service: service.name.clone() });
    }
    // The name of a headless service leads to the endpoints themselves, whichever port is asked for.
    let is_headless = service.cluster_ips.is_empty();
    let found: BTreeSet<(IpAddr, Option<u16>)> = if is_headless {
        behind.addresses().into_iter().map(|own| (own, port)).collect()
    } else {
        let target = target(service, protocol, port)?;
        let asked = |own: &IpAddr| address.is_none_or(|address| address.is_ipv4() == own.is_ipv4());
        let families: BTreeSet<bool> =
            service.cluster_ips.iter().filter(|own| asked(own)).map(IpAddr::is_ipv4).collect();
        let backends = families.into_iter().flat_map(|is_ipv4| behind.backends(target, is_ipv4));
        backends.map(|(own, number)| (own, Some(number))).collect()
    };
    let target = |(address, port): (IpAddr, Option<u16>)| {
        let party = Party { standing: standing(index, &behind, address)?, address: Some(address) };
        Ok(Target { party, port, service: (!is_headless).then_some(&service.name) })
    };
    let targets = found.into_iter().map(target).collect::<Result<Vec<_>, Missing>>()?;
    if targets.is_empty() {
        return Err(Missing::Backend { service: service.name.clone(), protocol, port });
    }
    Ok(targets)
}

/// Who an address behind a service is.
fn standing<'w>(index: &Index<'w>, behind: &Behind<'w>, address: IpAddr) -> Result<Standing<'w>, Missing> {
    if let Behind::Pods(pods) = behind
        && let Some(pod) = pods.iter().find(|pod| pod.addresses.contains(&address))
    {
        index.check_owner(pod, address)?;
        return Ok(backend(pod));
    }
    match find_address(index, address)? {
        Found::Party(standing, _) => Ok(standing),
        // what was led on once is not led on again
        Found::Service(..) => Ok(Standing::World),
    }
}

/// Where the port that was asked for leads.
fn target(service: &Service, protocol: Protocol, port: Option<u16>) -> Result<&ServicePort, Missing> {
    let of_port = service.ports.iter().find(|own| own.protocol == protocol && Some(own.port) == port);
    of_port.ok_or_else(|| Missing::ServicePort {
        service: service.name.clone(),
        protocol,
        port,
        choices: choices(service),
    })
}

fn choices(service: &Service) -> String {
    let ports = service.ports.iter().map(|port| format!("{} {}", port.protocol, port.port));
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}

// === impl Standing ===

impl<'w> Standing<'w> {
    /// Without an address where there is none.
    fn at_each(self, addresses: &[IpAddr]) -> Vec<Party<'w>> {
        if addresses.is_empty() {
            return vec![Party { standing: self, address: None }];
        }
        addresses.iter().map(|address| Party { standing: self, address: Some(*address) }).collect()
    }
}

// === impl Party ===

impl<'w> Party<'w> {
    /// The pod that policies judge; `None` where the end is none.
    pub const fn judged_pod(&self) -> Option<&'w Pod> {
        match self.standing {
            Standing::Pod(pod) => Some(pod),
            Standing::Node { .. } | Standing::Masked | Standing::World => None,
        }
    }
}

/// `np-demo/web`, `np-demo/proxy (host network of n1)`, `node n1 (10.0.0.1)`, `192.0.2.1`
impl fmt::Display for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.standing, self.address) {
            (Standing::Pod(pod), _) => write!(f, "{}", pod.name),
            (Standing::Node { name, pod: Some(pod) }, _) => {
                write!(f, "{} (host network", pod.name)?;
                if name.is_empty() { f.write_str(")") } else { write!(f, " of node {name})") }
            }
            (Standing::Node { name, pod: None }, Some(address)) => write!(f, "node {name} ({address})"),
            (Standing::Node { name, pod: None }, None) => write!(f, "node {name}"),
            (Standing::Masked, Some(address)) => write!(f, "whoever {address} hides"),
            (Standing::World, Some(address)) => write!(f, "{address}"),
            (Standing::Masked | Standing::World, None) => f.write_str("the world"),
        }
    }
}
