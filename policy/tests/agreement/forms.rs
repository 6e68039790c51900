//! Where services of every form lead: what the library says is what Kubernetes' documentation says, asked of every end
//! and every port one by one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState, SlicePort};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Service, ServicePort, Stage, TargetPort, World};
use palomar_policy::service::{node_ports, targets};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::explain::{NODES, world};
use super::generate::{cluster, world_addresses};

/// The address outside the cluster that services may have.
pub const OUTSIDE: &str = "203.0.113.80";
/// The port of nodes that they may have.
pub const NODE_PORT: u16 = 30_080;
/// Ports that an end may have.
const PORTS: [u16; 3] = [80, 81, 443];

/// What makes services different from those that select pods and have addresses in the cluster alone.
#[derive(Debug, Clone)]
pub struct Forms {
    /// Of the services: whether they keep the source, and whether they take what is not ready.
    flags: (bool, bool),
    has_selector: bool,
    /// Whether the other service claims the same address and port.
    is_contested: bool,
    /// Whether the first leads to the client's node alone.
    is_node_local: bool,
    /// Of the pods: whether each is not ready, and whether it ends.
    pods: Vec<(bool, bool)>,
    slices: Vec<SliceForm>,
}

/// A slice: which name the service and the port have, the number, and the ends by their places among all addresses, with
/// their states and nodes.
type SliceForm =
    (&'static str, &'static str, AddressType, Option<u16>, Vec<(u8, EndpointState, &'static str)>);

pub fn forms() -> impl Strategy<Value = Forms> {
    use EndpointState::{Ending, Ready, Unready};
    let end = (any::<u8>(), select(vec![Ready, Ready, Ending, Unready]), select(vec!["n0", "n1", ""]));
    let slice = (
        select(vec!["svc", "svc", "svc", "other"]),
        select(vec!["one", "two"]),
        select(vec![AddressType::Ipv4, AddressType::Ipv4, AddressType::Ipv6, AddressType::Fqdn]),
        select(vec![Some(80), Some(443), None]),
        vec(end, 0..3),
    );
    let flags = any::<((bool, bool), bool, bool, bool)>();
    (flags, vec(any::<(bool, bool)>(), 3), prop_oneof![Just(Vec::new()), vec(slice, 1..4)]).prop_map(
        |((flags, has_selector, is_contested, is_node_local), pods, slices)| Forms {
            flags,
            has_selector,
            is_contested,
            is_node_local,
            pods,
            slices,
        },
    )
}

impl Forms {
    /// Gives them to the services `svc` of a world.
    pub fn apply(&self, world: &mut World) {
        let addresses: Vec<IpAddr> = addresses_of_pods(world).chain(world_addresses()).collect();
        for (pod, (is_unready, is_ending)) in world.pods.values_mut().zip(&self.pods) {
            let pod = Arc::make_mut(pod);
            pod.is_ready = !is_unready;
            pod.stage = if *is_ending { Stage::Ending } else { Stage::Alive };
        }
        for namespace in ["a", "b"].into_iter().filter(|name| *name == "a" || self.is_contested) {
            let service = world.services.get_mut(&ObjectName::new(namespace, "svc")).expect("a service");
            let service = Arc::make_mut(service);
            service.external_addresses.push(OUTSIDE.parse().expect("an address"));
            (service.keeps_source, service.takes_unready) = self.flags;
            service.selector = service.selector.take().filter(|_| self.has_selector || namespace == "b");
            service.ports[0].node_port = Some(NODE_PORT);
            service.is_node_local = self.is_node_local && namespace == "a";
        }
        for (number, (service, port, address_type, port_number, ends)) in self.slices.iter().enumerate() {
            let family = addresses.iter().filter(|own| own.is_ipv4() == (*address_type == AddressType::Ipv4));
            let family: Vec<&IpAddr> = family.collect();
            let endpoint = |(place, state, node): &(u8, EndpointState, &str)| Endpoint {
                address: *family[usize::from(*place) % family.len()],
                state: *state,
                node: (*node).to_owned(),
            };
            let slice = EndpointSlice {
                name: ObjectName::new("a", format!("slice{number}")),
                service: (*service).to_owned(),
                address_type: *address_type,
                ports: vec![SlicePort {
                    name: (*port).to_owned(),
                    protocol: Protocol::Tcp,
                    number: *port_number,
                }],
                endpoints: ends.iter().map(endpoint).collect(),
            };
            world.endpoint_slices.insert(slice.name.clone(), Arc::new(slice));
        }
    }
}

fn addresses_of_pods(world: &World) -> impl Iterator<Item = IpAddr> {
    world.pods.values().flat_map(|pod| pod.addresses.clone())
}

/// Whether a proxy leads a connection to this port of the service to that end; on one node alone if one is named.
fn leads_to(
    world: &World,
    service: &Service,
    port: &ServicePort,
    on: Option<&str>,
    end: (IpAddr, u16),
) -> bool {
    let all = endpoints(world, service, port, end.0.is_ipv4());
    let usable = |wanted: EndpointState| {
        let of_state = all.iter().filter(move |(_, state, _)| *state == wanted);
        of_state.filter(|(.., node)| on.is_none_or(|on| node.as_deref().is_none_or(|node| node == on)))
    };
    let has = |wanted: EndpointState| usable(wanted).any(|(own, ..)| *own == end);
    has(EndpointState::Ready) || usable(EndpointState::Ready).count() == 0 && has(EndpointState::Ending)
}

/// Every endpoint of a port in a family: where it is, its state, and its node; `None`: it may be any.
fn endpoints(
    world: &World,
    service: &Service,
    port: &ServicePort,
    is_ipv4: bool,
) -> Vec<((IpAddr, u16), EndpointState, Option<String>)> {
    let mut found = Vec::new();
    let slices = slices_of(world, service);
    for slice in &slices {
        for own in &slice.ports {
            let Some(number) = own.number.filter(|_| own.name == port.name && own.protocol == port.protocol)
            else {
                continue;
            };
            for end in slice.endpoints.iter().filter(|end| end.address.is_ipv4() == is_ipv4) {
                found.push(((end.address, number), end.state, Some(end.node.clone())));
            }
        }
    }
    if !slices.is_empty() {
        return found;
    }
    let selector = service.selector.as_ref().expect("one that is known");
    let selected = world.pods.values().filter(|pod| {
        pod.name.namespace == service.name.namespace
            && selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    });
    for pod in selected {
        let state = if service.takes_unready || pod.is_ready && pod.stage == Stage::Alive {
            EndpointState::Ready
        } else if pod.is_ready {
            EndpointState::Ending
        } else {
            EndpointState::Unready
        };
        let numbers: Vec<u16> = match &port.target {
            TargetPort::Number(number) => vec![*number],
            TargetPort::Named(name) => {
                let named = pod.named_ports.iter();
                let named = named.filter(|own| own.name == *name && own.protocol == port.protocol);
                named.map(|own| own.number).collect()
            }
        };
        let node = (!pod.node.is_empty()).then(|| pod.node.clone());
        for address in pod.addresses.iter().filter(|own| own.is_ipv4() == is_ipv4) {
            found.extend(numbers.iter().map(|number| ((*address, *number), state, node.clone())));
        }
    }
    found
}

fn slices_of<'w>(world: &'w World, service: &Service) -> Vec<&'w EndpointSlice> {
    let of_service = world.endpoint_slices.values().filter(|slice| {
        slice.name.namespace == service.name.namespace
            && slice.service == service.name.name
            && slice.address_type != AddressType::Fqdn
    });
    of_service.map(|slice| &**slice).collect()
}

/// Whom a connection from this node to the address reaches, as far as services lead it on, and whether they see who connects. `None`:
/// services do not lead it on.
pub fn expected(
    world: &World,
    node: &str,
    address: IpAddr,
    protocol: Protocol,
    port: u16,
) -> Option<(BTreeSet<(IpAddr, u16)>, bool)> {
    let is_node = NODES.iter().any(|(_, node)| node.parse::<IpAddr>() == Ok(address));
    let known = |service: &&Arc<Service>| service.selector.is_some() || !slices_of(world, service).is_empty();
    let (mut ends, mut keeps_source, mut is_led) = (BTreeSet::new(), true, false);
    for service in world.services.values().filter(known) {
        let is_inside = service.cluster_ips.contains(&address);
        let has_address = is_inside || service.external_addresses.contains(&address);
        for own in service.ports.iter().filter(|own| own.protocol == protocol) {
            if !(has_address && own.port == port || is_node && own.node_port == Some(port)) {
                continue;
            }
            is_led = true;
            keeps_source &= is_inside || service.keeps_source;
            let numbers =
                world.pods.values().flat_map(|pod| pod.named_ports.iter().map(|named| named.number));
            let numbers: BTreeSet<u16> = numbers.chain(PORTS).collect();
            let candidates: BTreeSet<IpAddr> = addresses_of_pods(world).chain(world_addresses()).collect();
            for end in candidates.into_iter().filter(|end| end.is_ipv4() == address.is_ipv4()) {
                let on = Some(node).filter(|_| service.is_node_local && is_inside);
                let led = numbers.iter().filter(|number| leads_to(world, service, own, on, (end, **number)));
                ends.extend(led.map(|number| (end, *number)));
            }
        }
    }
    is_led.then_some((ends, keeps_source))
}

proptest! {
    #[test]
    fn services_lead_where_the_documentation_says(
        cluster in cluster(), kinds in vec(0..8_u8, 4), forms in forms(), from in select(vec!["n0", "n1", "n2"]),
    ) {
        let mut world = world(&cluster, &kinds);
        forms.apply(&mut world);
        let (by_address, at_nodes) = (targets(&world, from), node_ports(&world, true));
        let addresses = world.services.values().flat_map(|service| service.cluster_ips.clone());
        let node = NODES[0].1.parse().expect("an address");
        for address in addresses.chain([OUTSIDE.parse().expect("an address"), node]) {
            for port in [80, 81, 82, NODE_PORT] {
                let of_address = if address == node { Some(&at_nodes) } else { by_address.get(&address) };
                let found = of_address.and_then(|targets| targets.get(&(Protocol::Tcp, port)));
                let found = found.map(|leads| (leads.backends.clone(), leads.keeps_source));
                prop_assert_eq!(found, expected(&world, from, address, Protocol::Tcp, port), "{} {}", address, port);
            }
        }
    }
}
