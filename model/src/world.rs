//! The cluster as a source told it: one immutable snapshot.

use std::net::IpAddr;
use std::sync::Arc;

use crate::endpoint_slice::{EndpointSlice, EndpointState};
use crate::labels::Labels;
use crate::netpol::NetworkPolicy;
use crate::object::{ObjectName, Workload};
use crate::packet::Protocol;
use crate::ports::NamedPorts;
use crate::shared_map::SharedMap;

/// A snapshot of all objects. Cloning is cheap: every object is shared, and so is what two snapshots have in common.
///
/// An empty world has no pods and no policies; whoever makes one must mean it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Namespaces by name.
    pub namespaces: SharedMap<String, Arc<Namespace>>,
    /// Pods by name.
    pub pods: SharedMap<ObjectName, Arc<Pod>>,
    /// Services by name.
    pub services: SharedMap<ObjectName, Arc<Service>>,
    /// Endpoint slices by name.
    pub endpoint_slices: SharedMap<ObjectName, Arc<EndpointSlice>>,
    /// Nodes by name.
    pub nodes: SharedMap<String, Arc<Node>>,
    /// Policies by name.
    pub policies: SharedMap<ObjectName, Arc<NetworkPolicy>>,
}

impl World {
    /// The labels of a namespace. One that no source told still has the label that Kubernetes gives to every
    /// namespace, `kubernetes.io/metadata.name`.
    pub fn namespace_labels(&self, name: &str) -> Labels {
        self.namespaces.get(name).map_or_else(|| Namespace::default_labels(name), |ns| ns.labels.clone())
    }
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels, `kubernetes.io/metadata.name` among them.
    pub labels: Labels,
}

impl Namespace {
    /// The labels that the API server gives to a namespace without labels of its own.
    pub fn default_labels(name: &str) -> Labels {
        Labels::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())])
    }
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.uid`; empty where the source gives none.
    pub uid: String,
    /// Its labels.
    pub labels: Labels,
    /// Its service account; `default` where it names none.
    pub service_account: String,
    /// The node it runs on; empty while it is not scheduled or where the source does not say.
    pub node: String,
    /// Whether it shares the node's network: it has no veth, and the node's addresses are its own.
    pub host_network: bool,
    /// Its addresses, as in `status.podIPs`; empty before it has any, and once it has ended.
    pub addresses: Vec<IpAddr>,
    /// How far it has come.
    pub stage: Stage,
    /// Whether it is ready for what comes to a service. It is not where the source says so (`status.conditions`), and is
    /// where it does not say.
    pub is_ready: bool,
    /// What owns it; `None` for a bare pod.
    pub workload: Option<Workload>,
    /// The ports that its containers give names to; those of init containers only where they keep running
    /// (`restartPolicy: Always`).
    pub named_ports: NamedPorts,
}

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is to go on.
    Alive,
    /// It is being deleted (`metadata.deletionTimestamp`). It keeps its addresses, and policies judge it like any other.
    Ending,
    /// All of its containers have ended for good: what was its address may be another pod's.
    Ended,
}

impl Pod {
    /// A pod of which nothing is known but its name.
    pub fn new(name: ObjectName) -> Self {
        Self {
            name,
            uid: String::new(),
            labels: Labels::new(),
            service_account: "default".to_owned(),
            node: String::new(),
            host_network: false,
            addresses: Vec::new(),
            stage: Stage::Alive,
            is_ready: true,
            workload: None,
            named_ports: NamedPorts::default(),
        }
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// Its cluster addresses; empty for a headless service.
    pub cluster_ips: Vec<IpAddr>,
    /// The addresses outside the cluster that nodes lead to it as well: `spec.externalIPs`, and those that a load
    /// balancer announces and leaves to the nodes (`status.loadBalancer.ingress`, but for `ipMode: Proxy`). Each once;
    /// empty for a headless service, and where there are none.
    pub external_addresses: Vec<IpAddr>,
    /// Whether what comes by a node port or an external address keeps its source's address
    /// (`externalTrafficPolicy: Local`). Otherwise, as is the default, the node puts its own in its place. What comes by
    /// a cluster address keeps it always.
    pub keeps_source: bool,
    /// Whether a cluster address leads to endpoints on the client's own node alone, and to nobody where there is none
    /// (`internalTrafficPolicy: Local`). Node ports and external addresses lead to all even so.
    pub is_node_local: bool,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Which pods stand behind it; `None` for a service without a selector.
    pub selector: Option<Labels>,
    /// Whether pods that are not ready stand behind it as well (`publishNotReadyAddresses`).
    pub takes_unready: bool,
}

impl Service {
    /// A service of which nothing is known but its name.
    pub const fn new(name: ObjectName) -> Self {
        Self {
            name,
            cluster_ips: Vec::new(),
            external_addresses: Vec::new(),
            keeps_source: false,
            is_node_local: false,
            ports: Vec::new(),
            selector: None,
            takes_unready: false,
        }
    }

    /// As what its selector puts a pod behind it, as the controller of endpoint slices would say; `None`: it does not,
    /// as always for a service without a selector.
    pub fn endpoint(&self, pod: &Pod) -> Option<EndpointState> {
        let selects =
            |selector: &Labels| selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        let is_selected = self.name.namespace == pod.name.namespace
            && pod.stage != Stage::Ended
            && self.selector.as_ref().is_some_and(selects);
        is_selected.then_some(match (pod.is_ready, pod.stage) {
            _ if self.takes_unready => EndpointState::Ready,
            (true, Stage::Alive) => EndpointState::Ready,
            (true, _) => EndpointState::Ending,
            (false, _) => EndpointState::Unready,
        })
    }
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty where it has none.
    pub name: String,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The port clients use.
    pub port: u16,
    /// The port of the pods behind it.
    pub target: TargetPort,
    /// The port of every node that leads to it as well; never 0, `None`: there is none.
    pub node_port: Option<u16>,
}

impl ServicePort {
    /// The ports that it leads to in a pod; none where the pod does not have the one that is named.
    pub fn numbers_in(&self, pod: &Pod) -> Vec<u16> {
        match &self.target {
            TargetPort::Number(number) => vec![*number],
            TargetPort::Named(name) => pod.named_ports.numbers(name, self.protocol).collect(),
        }
    }
}

/// Where a service's port leads in the pods behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// To this port; never 0.
    Number(u16),
    /// To the port of this name, which may differ from pod to pod. Pods that have none do not stand behind it.
    Named(String),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its addresses of the types `InternalIP` and `ExternalIP`.
    pub addresses: Vec<IpAddr>,
    /// Its labels.
    pub labels: Labels,
}
