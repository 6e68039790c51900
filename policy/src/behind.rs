//! Who stands behind a service.
//!
//! What nodes do besides, and what it comes to here:
//!
//! - **Topology** (`trafficDistribution`, `hints` of a slice) and session affinity only choose among those who are ready:
//!   a node takes fewer of them, never others. Here all of them stand behind the service. What holds for all holds for the
//!   fewer: allowed stays allowed, denied stays denied. Where they differ, the kernel decides for all of them and explanations
//!   leave open which it will be, as without hints.
//! - **`internalTrafficPolicy: Local`** does change who may answer: those on other nodes never do. So it is followed. Who is
//!   on the client's node is what slices say, as nodes have it, or where a pod runs. A pod of which nobody says where it
//!   runs may be on any.
//! - **`externalTrafficPolicy: Local`** leads pods everywhere all the same: a node takes what its own pods send to an
//!   outside address or to a node port of its own for traffic within the cluster, which neither policy holds for. Only the
//!   source is kept. A node that does not know which addresses are pods' leads to its own endpoints alone, which are
//!   some of the same.
//! - **`loadBalancerSourceRanges`** is a filter of the nodes, not a policy: a pod that is in none of the ranges is dropped
//!   at the balancer's address though policy allows it. What is said here is what policy says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use palomar_model::endpoint_slice::{AddressType, EndpointSlice, EndpointState};
use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, Service, ServicePort, World};

/// The endpoint slices of a world by the service that they belong to.
#[derive(Debug, Default)]
pub(crate) struct Slices<'w>(BTreeMap<(&'w str, &'w str), Vec<&'w EndpointSlice>>);

/// Who stands behind a service.
///
/// Where there is a slice of it, its slices tell, whether it has a selector or not: they are what the nodes' own proxy
/// goes by, and they know what a selector does not, such as which pods have been found ready by now, or endpoints that
/// someone added. Without one the selector tells, so that whoever writes manifests by hand need not write slices.
#[derive(Debug, Clone)]
pub(crate) enum Behind<'w> {
    /// Nobody tells: it has neither a slice nor a selector.
    Unknown,
    Slices(Vec<&'w EndpointSlice>),
    /// The pods of its selector, and as what they stand behind it.
    Pods(Vec<(&'w Pod, EndpointState)>),
}

/// Whom of those behind a service a client is led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach<'n> {
    /// Anyone.
    Cluster,
    /// Those on this node; empty: on a node where nobody is known to be.
    Node(&'n str),
}

/// Someone who may answer.
#[derive(Debug, Clone, Copy)]
struct Candidate<'w> {
    at: (IpAddr, u16),
    /// Otherwise it ends.
    is_ready: bool,
    /// The node it is on, empty for one that is on none; `None`: it may be any.
    node: Option<&'w str>,
}

// === impl Slices ===

impl<'w> Slices<'w> {
    /// Slices of names are left out, which lead nobody anywhere, and those of no service.
    pub(crate) fn of(world: &'w World) -> Self {
        let mut by_service: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let slices = world.endpoint_slices.values().map(|slice| &**slice);
        for slice in slices.filter(|slice| !slice.service.is_empty() && family(slice).is_some()) {
            let service = (slice.name.namespace.as_str(), slice.service.as_str());
            by_service.entry(service).or_default().push(slice);
        }
        Self(by_service)
    }

    pub(crate) fn behind(&self, world: &'w World, service: &Service) -> Behind<'w> {
        let ObjectName { namespace, name } = &service.name;
        if let Some(slices) = self.0.get(&(namespace.as_str(), name.as_str())) {
            return Behind::Slices(slices.clone());
        }
        if service.selector.is_none() {
            return Behind::Unknown;
        }
        // pods are sorted by namespace first
        let from = world.pods.starting_at(&ObjectName::new(namespace, ""));
        let pods = from.take_while(|(name, _)| name.namespace == *namespace).map(|(_, pod)| &**pod);
        Behind::Pods(pods.filter_map(|pod| Some((pod, service.endpoint(pod)?))).collect())
    }
}

// === impl Behind ===

impl<'w> Behind<'w> {
    /// The addresses of one family, and their ports, that one of the service's ports leads to: those who are ready, or
    /// where nobody is, those who end.
    pub(crate) fn backends(
        &self,
        port: &ServicePort,
        is_ipv4: bool,
        reach: Reach<'_>,
    ) -> BTreeSet<(IpAddr, u16)> {
        let mut found: BTreeMap<bool, BTreeSet<(IpAddr, u16)>> = BTreeMap::new();
        for Candidate { at, is_ready, node } in self.candidates(port, is_ipv4) {
            let is_reached = match reach {
                Reach::Cluster => true,
                Reach::Node(own) => node.is_none_or(|node| node == own && !node.is_empty()),
            };
            if is_reached {
                found.entry(is_ready).or_default().insert(at);
            }
        }
        // the greatest is `true`
        found.pop_last().map(|(_, endpoints)| endpoints).unwrap_or_default()
    }

    /// The nodes on which somebody may answer.
    pub(crate) fn nodes(&self, port: &ServicePort, is_ipv4: bool) -> BTreeSet<&'w str> {
        let nodes = self.candidates(port, is_ipv4).into_iter().filter_map(|candidate| candidate.node);
        nodes.filter(|node| !node.is_empty()).collect()
    }

    fn candidates(&self, port: &ServicePort, is_ipv4: bool) -> Vec<Candidate<'w>> {
        match self {
            Self::Unknown => Vec::new(),
            Self::Slices(slices) => {
                let slices = slices.iter().filter(|slice| family(slice) == Some(is_ipv4));
                slices.flat_map(|slice| in_slice(slice, port)).collect()
            }
            Self::Pods(pods) => {
                pods.iter().flat_map(|(pod, state)| in_pod(pod, *state, port, is_ipv4)).collect()
            }
        }
    }

    /// The addresses that the name of a headless service stands for, of both families.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        match self {
            Self::Unknown => BTreeSet::new(),
            Self::Slices(slices) => {
                let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
                let ready = endpoints.filter(|endpoint| endpoint.state == EndpointState::Ready);
                ready.map(|endpoint| endpoint.address).collect()
            }
            Self::Pods(pods) => {
                let ready = pods.iter().filter(|(_, state)| *state == EndpointState::Ready);
                ready.flat_map(|(pod, _)| &pod.addresses).copied().collect()
            }
        }
    }
}

fn in_slice<'w>(slice: &'w EndpointSlice, port: &ServicePort) -> Vec<Candidate<'w>> {
    let own = slice.ports.iter().filter(|own| own.name == port.name && own.protocol == port.protocol);
    let numbers = own.filter_map(|own| own.number);
    let of_number = |number| {
        slice.endpoints.iter().filter_map(move |endpoint| {
            let is_ready = is_ready(endpoint.state)?;
            Some(Candidate { at: (endpoint.address, number), is_ready, node: Some(&*endpoint.node) })
        })
    };
    numbers.flat_map(of_number).collect()
}

fn in_pod<'w>(pod: &'w Pod, state: EndpointState, port: &ServicePort, is_ipv4: bool) -> Vec<Candidate<'w>> {
    let Some(is_ready) = is_ready(state) else { return Vec::new() };
    let node = Some(&*pod.node).filter(|node| !node.is_empty());
    let own = pod.addresses.iter().filter(|own| own.is_ipv4() == is_ipv4);
    let numbers = port.numbers_in(pod);
    let candidates = own.flat_map(|own| numbers.iter().map(|number| (*own, *number)));
    candidates.map(|at| Candidate { at, is_ready, node }).collect()
}

/// `None`: it is not to be taken.
const fn is_ready(state: EndpointState) -> Option<bool> {
    match state {
        EndpointState::Ready => Some(true),
        EndpointState::Ending => Some(false),
        EndpointState::Unready => None,
    }
}

/// Whether a slice's endpoints are of IPv4; `None`: they are names.
fn family(slice: &EndpointSlice) -> Option<bool> {
    match slice.address_type {
        AddressType::Ipv4 => Some(true),
        AddressType::Ipv6 => Some(false),
        AddressType::Fqdn => None,
    }
}
