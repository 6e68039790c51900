//! Who is who: one immutable answer to "which pod is this address, and what is its identity?".
//!
//! A [`Directory`] joins a world with the identities given to its pods and the interfaces found on this node.
//! The control path makes a new one with each change; the event path and the API read it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::world::{Pod, World};

/// A snapshot of who is who.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Raised by one with each new directory; 0 for the empty one of the start.
    pub version: u64,
    /// When it came into force, in nanoseconds of `CLOCK_MONOTONIC`; 0 for the empty one of the start.
    pub made_at_ns: u64,
    /// The world it was made from.
    pub world: Arc<World>,
    /// This node's name.
    pub node_name: Arc<str>,
    /// The name of the cluster.
    pub cluster: Arc<str>,
    /// Every pod of the world, host-network pods among them.
    pub pods: BTreeMap<ObjectName, Arc<PodEntry>>,
    /// Pods that have an address of their own, by address. Host-network pods are not here.
    pub addresses: HashMap<IpAddr, Arc<PodEntry>>,
    /// When the pod that has an address came to it, in nanoseconds of `CLOCK_MONOTONIC`; absent where it has had the
    /// address since the first directory.
    pub came_at_ns: HashMap<IpAddr, u64>,
    /// Services by cluster address.
    pub services: HashMap<IpAddr, ObjectName>,
    /// Addresses of this node's own interfaces.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Addresses of the world's other nodes.
    pub remote_nodes: BTreeSet<IpAddr>,
    /// The observed interfaces of this node, by interface index.
    pub endpoints: BTreeMap<u32, Arc<LocalEndpoint>>,
    /// What each internal identity is, those of pods that have gone for less than an hour included.
    pub identities: HashMap<u32, (Identity, LabelSet)>,
}

/// A pod with what Palomar knows of it.
#[derive(Debug, Clone)]
pub struct PodEntry {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The kernel's identity of it.
    pub internal_identity: u32,
    /// The end that flows show.
    pub flow_endpoint: Arc<FlowEndpoint>,
}

/// An observed interface.
#[derive(Debug, Clone)]
pub struct LocalEndpoint {
    /// The number that flows show: the interface index.
    pub id: u32,
    /// The interface's name when it was last listed.
    pub interface: Arc<str>,
    /// The pod behind it; `None` for an interface that no pod of the world is known for.
    pub pod: Option<Arc<PodEntry>>,
    /// The addresses found behind it, or the pod's, when the interface told none.
    pub addresses: Vec<IpAddr>,
}

impl Directory {
    /// A directory that knows nobody.
    pub fn empty(node_name: Arc<str>, cluster: Arc<str>) -> Self {
        Self {
            version: 0,
            made_at_ns: 0,
            world: Arc::new(World::default()),
            node_name,
            cluster,
            pods: BTreeMap::new(),
            addresses: HashMap::new(),
            came_at_ns: HashMap::new(),
            services: HashMap::new(),
            node_addresses: BTreeSet::new(),
            remote_nodes: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            identities: HashMap::new(),
        }
    }

    /// Takes over from the directory before it: what is in it is in force from `now_ns` of the kernel's clock on. The
    /// pods of the first directory may have had their addresses for ever.
    pub fn succeed(&mut self, before: &Self, now_ns: u64) {
        self.made_at_ns = now_ns;
        if before.version == 0 {
            return;
        }
        let is_same =
            |one: &PodEntry, other: &PodEntry| one.pod.name == other.pod.name && one.pod.uid == other.pod.uid;
        for (address, pod) in &self.addresses {
            let stayed = before.addresses.get(address).is_some_and(|owner| is_same(owner, pod));
            let came = if stayed { before.came_at_ns.get(address).copied() } else { Some(now_ns) };
            self.came_at_ns.extend(came.map(|at| (*address, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::labels::Label;

    use super::*;

    const ADDRESS: [u8; 4] = [10, 0, 0, 7];

    /// A directory in which a pod of this name and uid has the address.
    fn directory(version: u64, owner: Option<(&str, &str)>) -> Directory {
        let mut directory =
            Directory { version, ..Directory::empty(Arc::from("node-1"), Arc::from("default")) };
        if let Some((name, uid)) = owner {
            let name = ObjectName::new("shop", name);
            let entry = PodEntry {
                pod: Arc::new(Pod { uid: uid.to_owned(), ..Pod::new(name.clone()) }),
                internal_identity: 10,
                flow_endpoint: Arc::new(FlowEndpoint {
                    id: 0,
                    identity: Identity(300),
                    labels: LabelSet::new(vec![Label::k8s("app", "web")]),
                    pod: Some(name),
                    workload: None,
                    cluster: Arc::from("default"),
                }),
            };
            directory.addresses.insert(ADDRESS.into(), Arc::new(entry));
        }
        directory
    }

    #[test]
    fn an_address_tells_since_when_its_pod_has_it() {
        let web = Some(("web", "1"));
        let table = [
            ("from the start", [web, web, web], None),
            ("came later", [None, web, web], Some(2)),
            ("came last", [None, None, web], Some(3)),
            ("given to another", [web, web, Some(("db", "2"))], Some(3)),
            ("given to another, some time ago", [web, Some(("db", "2")), Some(("db", "2"))], Some(2)),
            ("made anew under its name", [web, web, Some(("web", "2"))], Some(3)),
            ("lost and got again", [web, None, web], Some(3)),
            ("nobody's", [web, web, None], None),
        ];
        for (name, owners, expected) in table {
            let mut before = Directory::empty(Arc::from("node-1"), Arc::from("default"));
            for (owner, version) in owners.into_iter().zip(1..) {
                let mut next = directory(version, owner);
                next.succeed(&before, version);
                assert_eq!(next.made_at_ns, version);
                before = next;
            }
            assert_eq!(before.came_at_ns.get(&ADDRESS.into()).copied(), expected, "{name}");
        }
    }
}
