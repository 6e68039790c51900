//! Who an end of a flow is in the manifests: the flow names a pod or a kind of identity, the manifests have addresses,
//! and both must agree.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_flow::view::{EndpointView, Side};
use palomar_manifest::ObjectKey;
use palomar_model::identity::Identity;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::world::{Service, Stage, World};
use palomar_policy::explain::End;

/// What results are grouped by: a workload; where a pod has none, the pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// `Deployment`, `Pod`, `Service`, `node`, `world`, …; empty where it is not known.
    pub kind: String,
    /// `namespace/name`; of an end without, empty.
    pub name: String,
}

/// An end of a flow: as a question has it, or the fact that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowEnd {
    pub end: Result<End, String>,
    pub party: Party,
    /// The pod or service that it is; `None` for nobody's address and a node's.
    pub object: Option<ObjectKey>,
}

/// Who has which address, by the manifests.
#[derive(Debug)]
pub struct Directory<'w> {
    world: &'w World,
    owners: HashMap<IpAddr, Owner<'w>>,
}

#[derive(Debug, Clone, Copy)]
enum Owner<'w> {
    Pod(&'w ObjectName),
    Node,
    Service(&'w ObjectName),
}

/// What an identity's number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Node,
    World,
    Pod,
    Untold,
}

impl<'w> Directory<'w> {
    /// Of a world.
    pub fn new(world: &'w World) -> Self {
        let mut owners = HashMap::new();
        for service in world.services.values() {
            let own = service.external_addresses.iter().chain(&service.cluster_ips);
            owners.extend(own.map(|own| (*own, Owner::Service(&service.name))));
        }
        for pod in world.pods.values().filter(|pod| !pod.host_network) {
            owners.extend(pod.addresses.iter().map(|own| (*own, Owner::Pod(&pod.name))));
        }
        for pod in world.pods.values().filter(|pod| pod.host_network) {
            owners.extend(pod.addresses.iter().map(|own| (*own, Owner::Node)));
        }
        for node in world.nodes.values() {
            owners.extend(node.addresses.iter().map(|own| (*own, Owner::Node)));
        }
        Self { world, owners }
    }

    /// The services that a port at this address leads to, where it is a node's: what is said of it hangs on them.
    pub fn at_node(&self, address: IpAddr, protocol: Protocol, port: u16) -> Vec<ObjectKey> {
        if !matches!(self.owners.get(&address.to_canonical()), Some(Owner::Node)) {
            return Vec::new();
        }
        let has_port = |service: &&Arc<Service>| {
            service.ports.iter().any(|own| own.protocol == protocol && own.node_port == Some(port))
        };
        let services = self.world.services.values().filter(has_port);
        services.map(|service| ObjectKey::Service(service.name.clone())).collect()
    }

    /// An end as a flow has it, at its address: of the source, or of the destination, of a packet of the end that connects.
    pub fn find<E: EndpointView>(&self, end: Option<&E>, side: Side, address: IpAddr) -> FlowEnd {
        let address = address.to_canonical();
        match end.filter(|end| !end.pod_name().is_empty()) {
            Some(end) => self.pod(end, address),
            None => self.other(end.map_or(0, EndpointView::identity), side, address),
        }
    }

    /// An end that the flow names a pod of: the pod of that name, if it is the one that had the address.
    fn pod<E: EndpointView>(&self, end: &E, address: IpAddr) -> FlowEnd {
        let name = ObjectName::new(end.namespace(), end.pod_name());
        let known = self.world.pods.get(&name);
        let own = |kind: &str, own: &str| Party {
            kind: kind.to_owned(),
            name: ObjectName::new(end.namespace(), own).to_string(),
        };
        let told = end.workloads().next().filter(|(workload, _)| !workload.is_empty());
        let workload = known.and_then(|pod| pod.workload.as_ref());
        let party = match (told, workload) {
            (Some((name, kind)), _) => own(kind, name),
            (None, Some(workload)) => own(&workload.kind, &workload.name),
            (None, None) => own("Pod", end.pod_name()),
        };
        let object = Some(ObjectKey::Pod(name.clone()));
        let end = match known {
            None => Err(format!("pod {name}: the manifests have none of that name")),
            Some(pod) if pod.host_network || pod.stage == Stage::Ended || pod.addresses.is_empty() => {
                Ok(End::Pod(name))
            }
            Some(pod) if pod.addresses.contains(&address) => Ok(End::Address(address)),
            Some(pod) => {
                let own: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
                let own = own.join(", ");
                Err(format!(
                    "whether pod {name} is still the same: it had {address}, and the manifests say {own}"
                ))
            }
        };
        FlowEnd { end, party, object }
    }

    /// An end that the flow names no pod of.
    fn other(&self, identity: u32, side: Side, address: IpAddr) -> FlowEnd {
        let party = |kind: &str| Party { kind: kind.to_owned(), name: String::new() };
        let (end, party) = match (self.owners.get(&address), Class::of(identity)) {
            (Some(Owner::Service(name)), _) => {
                (Ok(End::Address(address)), Party { kind: "Service".to_owned(), name: name.to_string() })
            }
            (Some(Owner::Node), Class::Node) => (Ok(End::Address(address)), party("node")),
            (Some(Owner::Node), Class::World) if side == Side::Source => {
                (Ok(End::Masked(address)), party("masked"))
            }
            (Some(Owner::Node), _) => (
                Err(format!(
                    "who is behind {address}: that is a node's address, and it may hide another end"
                )),
                party("node"),
            ),
            (Some(Owner::Pod(name)), _) => (
                Err(format!("who had {address}: the flow names no pod, and the manifests say pod {name}")),
                party(""),
            ),
            (None, Class::World) => (Ok(End::Address(address)), party("world")),
            (None, Class::Node) => {
                (Err(format!("the node that has {address}: the manifests have none")), party("node"))
            }
            (None, Class::Pod) => (
                Err(format!("the pod that had {address}: neither the flow nor the manifests name it")),
                party(""),
            ),
            (None, Class::Untold) => (Err(format!("who had {address}: the flow does not tell")), party("")),
        };
        let object = match self.owners.get(&address) {
            Some(Owner::Service(name)) => Some(ObjectKey::Service((*name).clone())),
            _ => None,
        };
        FlowEnd { end, party, object }
    }
}

impl Class {
    /// Of Palomar's numbers, and of those that Cilium's agents have beyond.
    fn of(identity: u32) -> Self {
        match (identity >> 24, identity) {
            (1, _) | (0, 2 | 9 | 10) => Self::World,
            (2, _) | (0, 1 | 6 | 7) => Self::Node,
            (0, Identity::FIRST_POD..) => Self::Pod,
            _ => Self::Untold,
        }
    }
}

/// `np-demo/web`, `svc np-demo/web`, `world`
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind.as_str(), self.name.as_str()) {
            ("Service", name) => write!(f, "svc {name}"),
            ("", "") => f.write_str("unknown"),
            (kind, "") => f.write_str(kind),
            (_, name) => f.write_str(name),
        }
    }
}
