//! What is brought up to date step by step is what would be made of the whole world at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use palomar_bpf::abi::{IDENTITY_HOST, IDENTITY_UNMANAGED};
use palomar_model::endpoint_slice::{AddressType, Endpoint, EndpointSlice, EndpointState, SlicePort};
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::Labels;
use palomar_model::netpol::{IpBlock, NetworkPolicy, Peer, Rule};
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::selector::Selector;
use palomar_model::shared_map::SharedMap;
use palomar_model::verdict::Direction;
use palomar_model::world::{Namespace, Node, Pod, Service, ServicePort, Stage, TargetPort, World};
use palomar_policy::{IdentityLabels, PolicySet, cidr, select, service};
use proptest::prelude::*;

use super::view::{Inputs, View, Viewer};
use super::wanted::{EnforceScope, Wishes};
use crate::directory::{Directory, LocalEndpoint, PodEntry};
use crate::enforce::{Desired, DesiredAddress, DesiredEndpoint};
use crate::identity::{Assigned, InternalId, Registry};
use crate::links::{Link, Links};

// === the oracle: everything anew ===

#[derive(Debug, Default)]
struct Bindings {
    by_interface: BTreeMap<u32, Binding>,
    by_pod: HashMap<ObjectName, u32>,
}

#[derive(Debug)]
struct Binding {
    pod: ObjectName,
    uid: String,
    /// The other end: an interface index may be given again.
    peer: (u32, i32),
}

impl Bindings {
    /// Takes in what the world and the interfaces say now.
    fn follow(&mut self, world: &World, links: &Links, node_name: &str) {
        let is_local = |pod: &Pod| !pod.host_network && (pod.node.is_empty() || pod.node == node_name);
        self.by_interface.retain(|ifindex, binding| {
            let link = links.veths.get(ifindex).is_some_and(|link| end(link) == binding.peer);
            let pod = world.pods.get(&binding.pod);
            link && pod
                .is_some_and(|pod| is_local(pod) && !pod.addresses.is_empty() && pod.uid == binding.uid)
        });
        let bound: HashMap<ObjectName, u32> =
            self.by_interface.iter().map(|(ifindex, binding)| (binding.pod.clone(), *ifindex)).collect();
        self.by_pod = bound;
        while self.bind(world, links, node_name) {}
    }

    /// Says whether any was found.
    fn bind(&mut self, world: &World, links: &Links, node_name: &str) -> bool {
        let is_local = |pod: &Pod| !pod.host_network && (pod.node.is_empty() || pod.node == node_name);
        let before = self.by_interface.len();
        let mut wanted: HashMap<IpAddr, &Pod> = HashMap::new();
        for pod in world.pods.values().filter(|pod| is_local(pod) && !self.by_pod.contains_key(&pod.name)) {
            for address in &pod.addresses {
                wanted.entry(*address).or_insert(pod);
            }
        }
        for (ifindex, link) in &links.veths {
            if self.by_interface.contains_key(ifindex) {
                continue;
            }
            let found = link.addresses.iter().filter_map(|address| wanted.get(address));
            let Some(pod) = found.into_iter().find(|pod| !self.by_pod.contains_key(&pod.name)) else {
                continue;
            };
            let binding = Binding { pod: pod.name.clone(), uid: pod.uid.clone(), peer: end(link) };
            self.by_pod.insert(pod.name.clone(), *ifindex);
            self.by_interface.insert(*ifindex, binding);
        }
        self.by_interface.len() > before
    }

    /// The interface of a pod; `None` where none was found.
    fn interface(&self, pod: &ObjectName) -> Option<u32> {
        self.by_pod.get(pod).copied()
    }

    /// The pod of an interface; `None` where no pod of the world is known for it.
    fn pod(&self, ifindex: u32) -> Option<&ObjectName> {
        self.by_interface.get(&ifindex).map(|binding| &binding.pod)
    }
}

fn end(link: &Link) -> (u32, i32) {
    (link.peer, link.namespace)
}

fn view(
    world: &Arc<World>,
    links: &Links,
    (node_name, cluster): (&Arc<str>, &Arc<str>),
    registry: &Registry,
    assigned: &Assigned,
    bindings: &mut Bindings,
) -> View {
    bindings.follow(world, links, node_name);
    let mut directory = Directory {
        identities: registry.internals().clone(),
        world: Arc::clone(world),
        node_addresses: links.node_addresses.clone(),
        ..Directory::empty(Arc::clone(node_name), Arc::clone(cluster))
    };
    let mut contested = Vec::new();
    for pod in world.pods.values() {
        let ifindex = bindings.interface(&pod.name);
        let entry = Arc::new(entry(pod, ifindex.filter(|_| !pod.host_network), cluster, assigned));
        directory.pods.insert(pod.name.clone(), Arc::clone(&entry));
        if pod.host_network {
            continue;
        }
        for address in &pod.addresses {
            match directory.addresses.get(address) {
                Some(owner) => contested.push((pod.name.clone(), *address, owner.pod.name.clone())),
                None => drop(directory.addresses.insert(*address, Arc::clone(&entry))),
            }
        }
    }
    for service in world.services.values() {
        directory.services.extend(service.cluster_ips.iter().map(|address| (*address, service.name.clone())));
    }
    for service in world.services.values() {
        for address in &service.external_addresses {
            if !directory.services.contains_key(address) {
                directory.services.insert(*address, service.name.clone());
            }
        }
        let name = Arc::new(service.name.clone());
        for port in &service.ports {
            let Some(number) = port.node_port else { continue };
            if !directory.node_ports.contains_key(&(port.protocol, number)) {
                directory.node_ports.insert((port.protocol, number), Arc::clone(&name));
            }
        }
    }
    let others = world.nodes.values().filter(|node| node.name != **node_name);
    directory.remote_nodes = others.flat_map(|node| &node.addresses).copied().collect();
    directory.remote_nodes.retain(|address| !links.node_addresses.contains(address));
    directory.endpoints = endpoints(links, &directory.pods, bindings).into_iter().collect();
    View { directory, contested }
}

fn entry(pod: &Arc<Pod>, ifindex: Option<u32>, cluster: &Arc<str>, assigned: &Assigned) -> PodEntry {
    let reserved =
        |identity: Identity| identity.reserved_labels().expect("invariant: a reserved identity has labels");
    let (internal_identity, identity, labels) = match assigned.pods.get(&pod.name) {
        Some(given) => (given.internal.0, given.identity, given.labels.clone()),
        None if pod.host_network => (IDENTITY_HOST, Identity::HOST, reserved(Identity::HOST)),
        None => (InternalId::UNKNOWN.0, Identity::UNKNOWN, reserved(Identity::UNKNOWN)),
    };
    let flow_endpoint = Arc::new(FlowEndpoint {
        id: ifindex.unwrap_or(0),
        identity,
        labels,
        pod: Some(pod.name.clone()),
        workload: pod.workload.clone(),
        cluster: Arc::clone(cluster),
    });
    PodEntry { pod: Arc::clone(pod), internal_identity, flow_endpoint }
}

fn endpoints(
    links: &Links,
    pods: &SharedMap<ObjectName, Arc<PodEntry>>,
    bindings: &Bindings,
) -> BTreeMap<u32, Arc<LocalEndpoint>> {
    let local = |link: &Link| {
        let pod = bindings.pod(link.ifindex).and_then(|name| pods.get(name)).cloned();
        let told: BTreeSet<IpAddr> = link.addresses.iter().copied().collect();
        LocalEndpoint {
            id: link.ifindex,
            interface: link.name.as_str().into(),
            pod,
            addresses: told.into_iter().collect(),
        }
    };
    links.veths.iter().map(|(ifindex, link)| (*ifindex, Arc::new(local(link)))).collect()
}

fn wanted(directory: &Directory, identities: BTreeMap<u32, IdentityLabels>, scope: &EnforceScope) -> Desired {
    let policies = || directory.world.policies.values().map(AsRef::as_ref);
    let endpoints: BTreeMap<_, _> = directory
        .endpoints
        .iter()
        .map(|(ifindex, endpoint)| (*ifindex, wanted_endpoint(directory, endpoint, scope)))
        .collect();
    // nobody else asks what a service's address means
    let asks = endpoints.values().any(|endpoint| endpoint.policies.isolates(Direction::Egress));
    let mut services =
        if asks { service::targets(&directory.world, &directory.node_name) } else { BTreeMap::new() };
    let mut node_ports = [true, false].map(|is_ipv4| {
        if asks { service::node_ports(&directory.world, is_ipv4) } else { service::Targets::new() }
    });
    if scope.masquerade_all {
        let all = services.values_mut().chain(&mut node_ports).flat_map(BTreeMap::values_mut);
        all.for_each(|leads| leads.keeps_source = false);
    }
    Desired {
        endpoints,
        services: services.into_iter().map(|(at, targets)| (at, Arc::new(targets))).collect(),
        node_ports: node_ports.map(Arc::new),
        addresses: wanted_addresses(directory).into_iter().collect(),
        identities: identities.into_iter().collect(),
        blocks: Arc::new(cidr::blocks_of(policies()).into_iter().cloned().collect()),
        port_names: Arc::new(cidr::port_names_in_blocks(policies())),
    }
}

fn wanted_endpoint(directory: &Directory, endpoint: &LocalEndpoint, scope: &EnforceScope) -> DesiredEndpoint {
    match &endpoint.pod {
        Some(entry) => DesiredEndpoint {
            id: endpoint.id,
            identity: entry.internal_identity,
            policies: select(&directory.world, &entry.pod),
            enforced: scope.covers(&entry.pod.name.namespace),
            check_source: true,
        },
        None => DesiredEndpoint {
            id: endpoint.id,
            identity: IDENTITY_UNMANAGED,
            policies: PolicySet::default(),
            enforced: false,
            check_source: false,
        },
    }
}

/// Later rows win: a remote node's address is least sure, the node's own is certain.
fn wanted_addresses(directory: &Directory) -> BTreeMap<IpAddr, DesiredAddress> {
    let mut addresses = BTreeMap::new();
    for address in &directory.remote_nodes {
        let identity = Identity::REMOTE_NODE.0;
        addresses.insert(*address, DesiredAddress { identity, endpoint: 0, node: false });
    }
    for endpoint in directory.endpoints.values().filter(|endpoint| endpoint.pod.is_none()) {
        for address in &endpoint.addresses {
            let value = DesiredAddress { identity: IDENTITY_UNMANAGED, endpoint: endpoint.id, node: false };
            addresses.insert(*address, value);
        }
    }
    for (address, entry) in &directory.addresses {
        let identity = entry.internal_identity;
        addresses
            .insert(*address, DesiredAddress { identity, endpoint: entry.flow_endpoint.id, node: false });
    }
    for address in &directory.node_addresses {
        addresses.insert(*address, DesiredAddress { identity: IDENTITY_HOST, endpoint: 0, node: true });
    }
    addresses
}

// === steps ===

/// One object becomes this; `None`: it goes.
#[derive(Debug, Clone)]
enum Step {
    Pod(u8, Option<(u8, Vec<u8>, u8)>),
    Namespace(u8, Option<u8>),
    Policy(u8, Option<u8>),
    Service(u8, Option<(u8, u8)>),
    Slice(u8, Option<(u8, u8)>),
    Node(u8, Option<u8>),
    Link(u8, Option<Vec<u8>>),
    NodeAddress(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let addresses = || prop::collection::vec(0..12_u8, 0..3);
    let pod = (any::<u8>(), addresses(), 0..4_u8);
    prop_oneof![
        8 => (0..10_u8, prop::option::weighted(0.8, pod)).prop_map(|(name, pod)| Step::Pod(name, pod)),
        1 => (0..3_u8, prop::option::of(0..3_u8)).prop_map(|(name, label)| Step::Namespace(name, label)),
        3 => (0..6_u8, prop::option::weighted(0.8, any::<u8>())).prop_map(|(name, what)| Step::Policy(name, what)),
        3 => (0..6_u8, prop::option::weighted(0.8, (any::<u8>(), 0..4_u8)))
            .prop_map(|(name, what)| Step::Service(name, what)),
        4 => (0..6_u8, prop::option::weighted(0.7, (0..2_u8, 0..12_u8)))
            .prop_map(|(name, what)| Step::Slice(name, what)),
        1 => (0..3_u8, prop::option::weighted(0.8, 0..12_u8)).prop_map(|(name, at)| Step::Node(name, at)),
        4 => (0..6_u8, prop::option::weighted(0.8, addresses())).prop_map(|(name, told)| Step::Link(name, told)),
        1 => (0..12_u8).prop_map(Step::NodeAddress),
    ]
}

fn at(number: u8) -> IpAddr {
    if number < 10 {
        IpAddr::from([10, 0, 0, number])
    } else {
        IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, u16::from(number)])
    }
}

fn named(number: u8, kind: &str) -> ObjectName {
    ObjectName::new(format!("ns{}", number % 3), format!("{kind}{number}"))
}

fn app(number: u8) -> Labels {
    Labels::from([("app".to_owned(), format!("app{}", number % 3))])
}

fn pod_of(number: u8, (kind, addresses, node): &(u8, Vec<u8>, u8)) -> Pod {
    Pod {
        uid: (kind % 2).to_string(),
        labels: app(*kind),
        node: ["", "here", "here", "there"][usize::from(*node)].to_owned(),
        host_network: kind.is_multiple_of(7),
        addresses: addresses.iter().map(|number| at(*number)).collect(),
        stage: match kind % 11 {
            0 => Stage::Ended,
            1..=3 => Stage::Ending,
            _ => Stage::Alive,
        },
        is_ready: !kind.is_multiple_of(5),
        ..Pod::new(named(number, "pod"))
    }
}

fn policy_of(number: u8, kind: u8) -> NetworkPolicy {
    let block = IpBlock { cidr: format!("10.0.0.{}/30", kind / 4 * 4).parse().unwrap(), except: Vec::new() };
    let rule = Rule { peers: vec![Peer::Block(block)], ports: Vec::new() };
    NetworkPolicy {
        name: named(number, "policy"),
        pod_selector: Selector::of_labels([("app", &*format!("app{}", kind % 3))]),
        ingress: (kind.is_multiple_of(2)).then(Vec::new),
        egress: (!kind.is_multiple_of(5)).then(|| vec![rule]),
    }
}

fn service_of(number: u8, (kind, address): (u8, u8)) -> Service {
    let port = ServicePort {
        name: String::new(),
        protocol: Protocol::Tcp,
        port: 80 + u16::from(kind % 2),
        node_port: (kind.is_multiple_of(3)).then_some(30_000 + u16::from(kind % 5)),
        target: TargetPort::Number(8_080),
    };
    Service {
        name: named(number, "service"),
        cluster_ips: vec![IpAddr::from([10, 1, 0, address])],
        external_addresses: if kind.is_multiple_of(4) { vec![at(kind % 12)] } else { Vec::new() },
        ports: vec![port],
        selector: (kind % 6 != 5).then(|| app(kind)),
        keeps_source: kind % 8 != 3,
        is_node_local: kind.is_multiple_of(7),
        takes_unready: kind.is_multiple_of(2),
    }
}

fn set<K: Ord + Clone, V>(map: &mut SharedMap<K, Arc<V>>, key: K, value: Option<V>)
where
    Arc<V>: Clone,
{
    match value {
        Some(value) => drop(map.insert(key, Arc::new(value))),
        None => drop(map.remove(&key)),
    }
}

fn take(step: &Step, world: &mut World, links: &mut Links) {
    match step {
        Step::Pod(name, pod) => {
            set(&mut world.pods, named(*name, "pod"), pod.as_ref().map(|pod| pod_of(*name, pod)));
        }
        Step::Namespace(name, label) => {
            let name = format!("ns{name}");
            let labels = label.map(|label| Labels::from([("team".to_owned(), label.to_string())]));
            set(&mut world.namespaces, name.clone(), labels.map(|labels| Namespace { name, labels }));
        }
        Step::Policy(name, kind) => {
            set(&mut world.policies, named(*name, "policy"), kind.map(|kind| policy_of(*name, kind)));
        }
        Step::Service(name, what) => {
            set(&mut world.services, named(*name, "service"), what.map(|what| service_of(*name, what)));
        }
        Step::Slice(name, what) => {
            let slice = what.map(|(service, address)| EndpointSlice {
                name: named(*name, "slice"),
                // of its own namespace
                service: named(*name % 3 + 3 * service, "service").name,
                address_type: if at(address).is_ipv4() { AddressType::Ipv4 } else { AddressType::Ipv6 },
                ports: vec![SlicePort { name: String::new(), protocol: Protocol::Tcp, number: Some(8_081) }],
                endpoints: vec![Endpoint {
                    address: at(address),
                    state: if address.is_multiple_of(4) {
                        EndpointState::Ending
                    } else {
                        EndpointState::Ready
                    },
                    node: ["", "here", "there"][usize::from(address % 3)].to_owned(),
                }],
            });
            set(&mut world.endpoint_slices, named(*name, "slice"), slice);
        }
        Step::Node(name, address) => {
            let name = ["here", "there", "elsewhere"][usize::from(*name)].to_owned();
            let node = address.map(|address| Node {
                name: name.clone(),
                addresses: vec![at(address)],
                labels: Labels::new(),
            });
            set(&mut world.nodes, name, node);
        }
        Step::Link(name, told) => {
            let ifindex = 7 + u32::from(*name);
            links.veths.remove(&ifindex);
            let link = told.as_ref().map(|told| Link {
                ifindex,
                name: format!("veth{ifindex}"),
                peer: 2,
                namespace: i32::try_from(told.len()).unwrap(),
                addresses: told.iter().map(|number| at(*number)).collect(),
            });
            links.veths.extend(link.map(|link| (ifindex, link)));
        }
        Step::NodeAddress(number) => {
            if !links.node_addresses.remove(&at(*number)) {
                links.node_addresses.insert(at(*number));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    #[test]
    fn what_follows_step_by_step_is_what_is_made_at_once(
        passes in prop::collection::vec(prop::collection::vec(step(), 0..4), 20..60),
        masquerade_all in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (node_name, cluster) = (Arc::from("here"), Arc::from("default"));
        let mut registry = Registry::open(folder.path(), Arc::clone(&cluster)).unwrap().0;
        let (mut world, mut links) = (World::default(), Links::default());
        let (mut viewer, mut wishes) = (Viewer::default(), Wishes::default());
        let mut bindings = Bindings::default();
        let mut before = Arc::new(Directory::empty(Arc::clone(&node_name), Arc::clone(&cluster)));
        let scope = EnforceScope {
            namespaces: BTreeSet::from(["ns0".to_owned(), "ns1".to_owned()]),
            masquerade_all,
        };
        for (pass, steps) in (0..).zip(passes) {
            for step in &steps {
                take(step, &mut world, &mut links);
            }
            let assigned = registry.update(&world, SystemTime::UNIX_EPOCH + Duration::from_secs(pass));
            let shared = Arc::new(world.clone());
            let naive = view(&shared, &links, (&node_name, &cluster), &registry, &assigned, &mut bindings);
            let new_links = Arc::new(links.clone());
            let View { directory, contested } = viewer.view(&Inputs {
                before: &before,
                world: &shared,
                links: &new_links,
                assigned: &assigned.pods,
                identities: registry.internals(),
            });
            prop_assert_eq!(&directory.pods, &naive.directory.pods);
            prop_assert_eq!(&directory.addresses, &naive.directory.addresses);
            prop_assert_eq!(&directory.services, &naive.directory.services);
            prop_assert_eq!(&directory.node_ports, &naive.directory.node_ports);
            prop_assert_eq!(&directory.node_addresses, &naive.directory.node_addresses);
            prop_assert_eq!(&directory.remote_nodes, &naive.directory.remote_nodes);
            prop_assert_eq!(&directory.endpoints, &naive.directory.endpoints);
            prop_assert_eq!(&directory.identities, &naive.directory.identities);
            let claims: BTreeSet<_> = contested.into_iter().collect();
            // a pod that names an address twice does not contest it with itself
            let naive_claims = naive.contested.into_iter().filter(|(pod, _, owner)| pod != owner);
            prop_assert_eq!(claims, naive_claims.collect::<BTreeSet<_>>());

            let directory = Arc::new(directory);
            wishes.follow(&directory, registry.live(), &scope);
            let live = registry.live().iter().map(|(id, facts)| {
                let labels = IdentityLabels {
                    namespace: Arc::clone(&facts.namespace),
                    namespace_labels: Arc::clone(&facts.namespace_labels),
                    pod_labels: Arc::clone(&facts.pod_labels),
                    named_ports: facts.named_ports.clone(),
                };
                (*id, labels)
            });
            let naive = wanted(&naive.directory, live.collect(), &scope);
            prop_assert_eq!(wishes.desired(), &naive);
            before = directory;
        }
    }
}
