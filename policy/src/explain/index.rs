//! A world, prepared for questions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::{Pod, Service, ServicePort, World};

use super::missing::Missing;
use super::namespace::NamespaceFacts;
use crate::behind::{Behind, Slices};
use crate::decide::selects;
use crate::set::policies_of_namespace;
use crate::subject::Subject;

/// Who has which address.
#[derive(Debug)]
pub struct Index<'w> {
    world: &'w World,
    masquerade: Masquerade,
    owners: HashMap<IpAddr, Owner<'w>>,
    slices: Slices<'w>,
    node_ports: HashMap<(Protocol, u16), Vec<(&'w Service, &'w ServicePort)>>,
    namespaces: HashMap<&'w str, NamespaceFacts>,
}

/// Whose address nodes put their own in place of, for those who connect to services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Masquerade {
    /// Of those who come by a node port or an address outside the cluster, unless the service keeps them.
    #[default]
    FromOutside,
    /// Everyone's: a backend never sees who connects (`--masquerade-all` of kube-proxy and of an agent).
    All,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner<'w> {
    Pod(&'w Pod),
    /// Pods that all say so; at least two.
    Pods(Vec<&'w Pod>),
    /// Services that all claim it, as an address in the cluster or outside; at least one.
    Services(Vec<&'w Service>),
    /// A node, and the host-network pod that told of it, if it was one. The name is empty where it is not known.
    Node(&'w str, Option<&'w Pod>),
}

impl<'w> Index<'w> {
    /// Prepares a world, of which nobody says that its nodes masquerade all; work in proportion to it.
    pub fn new(world: &'w World) -> Self {
        let mut index = Self {
            world,
            masquerade: Masquerade::default(),
            owners: HashMap::new(),
            slices: Slices::of(world),
            node_ports: HashMap::new(),
            namespaces: HashMap::new(),
        };
        for service in world.services.values() {
            index.add_service(service);
        }
        let (host, own): (Vec<&Arc<Pod>>, Vec<_>) = world.pods.values().partition(|pod| pod.host_network);
        for pod in own {
            let namespace = pod.name.namespace.as_str();
            let facts = || NamespaceFacts::of(world, namespace);
            index.namespaces.entry(namespace).or_insert_with(facts);
            for address in &pod.addresses {
                index.claim(*address, pod);
            }
        }
        for pod in host {
            for address in &pod.addresses {
                index.owners.insert(*address, Owner::Node(&pod.node, Some(pod)));
            }
        }
        // What a node says of itself is surer than what a pod says.
        for node in world.nodes.values() {
            for address in &node.addresses {
                index.owners.insert(*address, Owner::Node(&node.name, None));
            }
        }
        index
    }

    fn add_service(&mut self, service: &'w Service) {
        for address in service.cluster_ips.iter().chain(&service.external_addresses) {
            match self.owners.entry(*address).or_insert_with(|| Owner::Services(Vec::new())) {
                Owner::Services(services) if services.last().is_none_or(|last| last.name != service.name) => {
                    services.push(service);
                }
                _ => {}
            }
        }
        for port in &service.ports {
            let Some(number) = port.node_port else { continue };
            self.node_ports.entry((port.protocol, number)).or_default().push((service, port));
        }
    }

    fn claim(&mut self, address: IpAddr, pod: &'w Pod) {
        let owner = match self.owners.remove(&address) {
            None | Some(Owner::Services(_) | Owner::Node(..)) => Owner::Pod(pod),
            Some(Owner::Pod(other)) => Owner::Pods(vec![other, pod]),
            Some(Owner::Pods(mut others)) => {
                others.push(pod);
                Owner::Pods(others)
            }
        };
        self.owners.insert(address, owner);
    }

    /// The same world, whose nodes masquerade so.
    #[must_use]
    pub fn masquerading(self, masquerade: Masquerade) -> Self {
        Self { masquerade, ..self }
    }

    /// Whose address nodes put their own in place of.
    pub(super) fn masquerade(&self) -> Masquerade {
        self.masquerade
    }

    /// The world that was prepared.
    pub fn world(&self) -> &'w World {
        self.world
    }

    /// Who has an address; `None`: nobody of this world.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&Owner<'w>> {
        self.owners.get(&address)
    }

    /// Who stands behind a service.
    pub(super) fn behind(&self, service: &Service) -> Behind<'w> {
        self.slices.behind(self.world, service)
    }

    /// The ports of services that a port of every node leads to.
    pub(super) fn at_nodes(
        &self,
        protocol: Protocol,
        port: Option<u16>,
    ) -> &[(&'w Service, &'w ServicePort)] {
        let found = port.and_then(|port| self.node_ports.get(&(protocol, port)));
        found.map_or(&[], Vec::as_slice)
    }

    /// Whether any port of the nodes leads to a service.
    pub(super) fn has_node_ports(&self) -> bool {
        !self.node_ports.is_empty()
    }

    /// Whether a policy isolates a pod for egress.
    pub(super) fn isolates_egress(&self, pod: &Pod) -> bool {
        let isolates = |subject: Subject<'_>| {
            policies_of_namespace(self.world, subject.namespace)
                .any(|policy| policy.rules(Direction::Egress).is_some() && selects(policy, subject))
        };
        self.subject(pod).is_some_and(isolates)
    }

    /// Whether other pods say that they have this pod's address too.
    pub(super) fn check_owner(&self, pod: &Pod, address: IpAddr) -> Result<(), Missing> {
        match self.owner(address) {
            Some(Owner::Pods(pods)) if pods.iter().any(|claiming| claiming.name == pod.name) => {
                Err(Missing::Owner { address, pods: pods.iter().map(|pod| pod.name.clone()).collect() })
            }
            _ => Ok(()),
        }
    }

    /// The namespace of a pod; `None` where it holds host-network pods alone.
    pub(super) fn namespace(&self, pod: &Pod) -> Option<&NamespaceFacts> {
        self.namespaces.get(pod.name.namespace.as_str())
    }

    /// A pod as selectors see it; `None` for a host-network pod.
    pub fn subject<'i>(&'i self, pod: &'i Pod) -> Option<Subject<'i>> {
        if pod.host_network {
            return None;
        }
        Some(Subject {
            namespace: &pod.name.namespace,
            namespace_labels: &self.namespace(pod)?.labels,
            pod_labels: &pod.labels,
            named_ports: &pod.named_ports,
        })
    }

    /// Pods and services that may have been meant, the nearest first; a few. Their names begin as this one does or this one as
    /// theirs, or differ in a letter or two; or they have this name in another namespace.
    pub(super) fn near_names(&self, name: &ObjectName) -> Vec<ObjectName> {
        let all = self.world.pods.keys().chain(self.world.services.keys());
        let mut near: Vec<(usize, &ObjectName)> =
            all.filter_map(|known| Some((distance(known, name)?, known))).collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(3).map(|(_, known)| known.clone()).collect()
    }
}

/// How far a name is from one that was written; `None`: too far to be meant.
fn distance(known: &ObjectName, written: &ObjectName) -> Option<usize> {
    let namespaces = strsim::osa_distance(&known.namespace, &written.namespace);
    let names = strsim::osa_distance(&known.name, &written.name);
    let is_longer = known.name.starts_with(&written.name) || written.name.starts_with(&known.name);
    let is_name = is_longer || names <= typos(&written.name);
    match (namespaces, names) {
        (_, 0) => Some(namespaces),
        (0, _) if is_longer => Some(1),
        _ if is_name && namespaces <= typos(&written.namespace) => Some(namespaces + names),
        _ => None,
    }
}

/// In how many letters a name may differ from one that was written and still be meant.
fn typos(written: &str) -> usize {
    (written.len() / 3).min(2)
}
