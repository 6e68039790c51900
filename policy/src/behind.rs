//! Who stands behind a service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState};
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
    /// The pods of its selector.
    Pods(Vec<&'w Pod>),
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
        Behind::Pods(pods.filter(|pod| service.is_before(pod)).collect())
    }
}

// === impl Behind ===

impl Behind<'_> {
    /// The addresses of one family, and their ports, that one of the service's ports leads to.
    pub(crate) fn backends(&self, port: &ServicePort, is_ipv4: bool) -> BTreeSet<(IpAddr, u16)> {
        match self {
            Self::Unknown => BTreeSet::new(),
            Self::Slices(slices) => in_slices(slices, port, is_ipv4),
            Self::Pods(pods) => {
                let of_pod = |pod: &&Pod| {
                    let own = pod.addresses.iter().filter(|own| own.is_ipv4() == is_ipv4);
                    let numbers = port.numbers_in(pod);
                    let pairs = own.flat_map(|own| numbers.iter().map(|number| (*own, *number)));
                    pairs.collect::<Vec<_>>()
                };
                pods.iter().flat_map(of_pod).collect()
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
            Self::Pods(pods) => pods.iter().flat_map(|pod| &pod.addresses).copied().collect(),
        }
    }
}

/// Those that are ready; where none is, those that end.
fn in_slices(slices: &[&EndpointSlice], port: &ServicePort, is_ipv4: bool) -> BTreeSet<(IpAddr, u16)> {
    let mut found: BTreeMap<bool, BTreeSet<(IpAddr, u16)>> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| family(slice) == Some(is_ipv4)) {
        let own = slice.ports.iter().filter(|own| own.name == port.name && own.protocol == port.protocol);
        for number in own.filter_map(|own| own.number) {
            for Endpoint { address, state } in &slice.endpoints {
                let is_ready = match state {
                    EndpointState::Ready => true,
                    EndpointState::Ending => false,
                    EndpointState::Unready => continue,
                };
                found.entry(is_ready).or_default().insert((*address, number));
            }
        }
    }
    // the greatest is `true`
    found.pop_last().map(|(_, endpoints)| endpoints).unwrap_or_default()
}

/// Whether a slice's endpoints are of IPv4; `None`: they are names.
fn family(slice: &EndpointSlice) -> Option<bool> {
    match slice.address_type {
        AddressType::Ipv4 => Some(true),
        AddressType::Ipv6 => Some(false),
        AddressType::Fqdn => None,
    }
}
