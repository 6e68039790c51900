//! Who is who: one immutable answer to "which pod is this address, and what is its identity?".
//!
//! A [`Directory`] joins a world with the identities given to its pods and the interfaces found on this node.
//! The control path makes a new one with each change; the event path and the API read it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::shared_map::SharedMap;
use palomar_model::world::{Pod, World};

/// How long it is kept who had an address last, in nanoseconds: connections to a pod that has gone are told for a while.
const KEEP_NS: u64 = 3_600_000_000_000;
/// So many who had an address are kept at most; beyond that the earliest are forgotten.
const MAX_FORMER: usize = 4_096;

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
    pub pods: SharedMap<ObjectName, Arc<PodEntry>>,
    /// Pods that have an address of their own, by address. Host-network pods are not here.
    pub addresses: SharedMap<IpAddr, Arc<PodEntry>>,
    /// When the pod that has an address came to it, in nanoseconds of `CLOCK_MONOTONIC`; absent where it has had the
    /// address since the first directory.
    pub came_at_ns: SharedMap<IpAddr, u64>,
    /// Who had an address last and lost it, less than an hour ago; also of addresses that others have now.
    pub former: SharedMap<IpAddr, Former>,
    /// Services by cluster or external address; of several that claim one, the first by name.
    pub services: SharedMap<IpAddr, ObjectName>,
    /// Services by their ports at this node's own addresses.
    pub node_ports: SharedMap<(Protocol, u16), Arc<ObjectName>>,
    /// Addresses of this node's own interfaces.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Addresses of the world's other nodes.
    pub remote_nodes: BTreeSet<IpAddr>,
    /// The observed interfaces of this node, by interface index.
    pub endpoints: SharedMap<u32, Arc<LocalEndpoint>>,
    /// What each internal identity is, those of pods that have gone for less than an hour included.
    pub identities: SharedMap<u32, (Identity, LabelSet)>,
}

/// A pod with what Palomar knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodEntry {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The kernel's identity of it.
    pub internal_identity: u32,
    /// The end that flows show.
    pub flow_endpoint: Arc<FlowEndpoint>,
}

/// A pod that had an address.
#[derive(Debug, Clone)]
pub struct Former {
    /// The pod.
    pub pod: Arc<PodEntry>,
    /// When it came to the address, in nanoseconds of `CLOCK_MONOTONIC`; 0: it may have had it for ever.
    pub since_ns: u64,
    /// When it was found to have it no longer.
    pub until_ns: u64,
}

/// An observed interface.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            pods: SharedMap::new(),
            addresses: SharedMap::new(),
            came_at_ns: SharedMap::new(),
            former: SharedMap::new(),
            services: SharedMap::new(),
            node_ports: SharedMap::new(),
            node_addresses: BTreeSet::new(),
            remote_nodes: BTreeSet::new(),
            endpoints: SharedMap::new(),
            identities: SharedMap::new(),
        }
    }

    /// Interfaces that are no pod's, and have the address of a pod that is said to run on another node: most likely one of
    /// the two names of this node is wrong.
    pub fn misplaced(&self) -> impl Iterator<Item = (&LocalEndpoint, &PodEntry)> {
        let unbound = self.endpoints.values().filter(|endpoint| endpoint.pod.is_none());
        unbound.filter_map(|endpoint| {
            let owner = endpoint.addresses.iter().find_map(|address| self.addresses.get(address))?;
            let is_elsewhere = !owner.pod.node.is_empty() && *owner.pod.node != *self.node_name;
            is_elsewhere.then_some((&**endpoint, &**owner))
        })
    }

    /// Takes over from the directory before it: what is in it is in force from `now_ns` of the kernel's clock on. The
    /// pods of the first directory may have had their addresses for ever.
    pub fn succeed(&mut self, before: &Self, now_ns: u64) {
        self.made_at_ns = now_ns;
        if before.version == 0 {
            return;
        }
        self.came_at_ns = before.came_at_ns.clone();
        self.former = before.former.clone();
        for change in before.addresses.changes(&self.addresses) {
            let (address, owners) = (*change.key, change.before.zip(change.after));
            let is_same = |(one, other): (&Arc<PodEntry>, &Arc<PodEntry>)| {
                one.pod.name == other.pod.name && one.pod.uid == other.pod.uid
            };
            if owners.is_some_and(is_same) {
                continue;
            }
            let since_ns = self.came_at_ns.remove(&address).unwrap_or(0);
            if change.after.is_some() {
                self.came_at_ns.insert(address, now_ns);
            }
            if let Some(pod) = change.before {
                self.former.insert(address, Former { pod: Arc::clone(pod), since_ns, until_ns: now_ns });
            }
        }
        self.forget(now_ns);
    }

    /// Forgets those who lost their address long ago, and the earliest of too many.
    fn forget(&mut self, now_ns: u64) {
        self.former.retain(|_, former| now_ns.saturating_sub(former.until_ns) < KEEP_NS);
        let Some(too_many) = self.former.len().checked_sub(MAX_FORMER).filter(|count| *count > 0) else {
            return;
        };
        let mut ends: Vec<u64> = self.former.values().map(|former| former.until_ns).collect();
        let (_, last_forgotten, _) = ends.select_nth_unstable(too_many - 1);
        let last_forgotten = *last_forgotten;
        self.former.retain(|_, former| former.until_ns > last_forgotten);
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

    #[test]
    fn who_lost_an_address_is_known_for_an_hour() {
        let (web, again, db) = (Some(("web", "1")), Some(("web", "2")), Some(("db", "3")));
        let second = 1_000_000_000;
        let table = [
            ("still there", [web, web, web], second, None),
            ("gone", [web, web, None], second, Some(("web", 0, 3))),
            ("gone some time ago", [web, None, None], second, Some(("web", 0, 2))),
            ("came and went", [None, db, None], second, Some(("db", 2, 3))),
            ("another has it", [web, web, db], second, Some(("web", 0, 3))),
            ("the last of two", [web, db, None], second, Some(("db", 2, 3))),
            ("made anew under its name", [web, web, again], second, Some(("web", 0, 3))),
            ("nobody's ever", [None, None, None], second, None),
            ("gone for an hour", [web, None, None], KEEP_NS, None),
        ];
        for (name, owners, step_ns, expected) in table {
            let mut before = Directory::empty(Arc::from("node-1"), Arc::from("default"));
            for (owner, version) in owners.into_iter().zip(1..) {
                let mut next = directory(version, owner);
                next.succeed(&before, version * step_ns);
                before = next;
            }
            let former = before.former.get(&ADDRESS.into());
            let told = former.map(|former| {
                (&*former.pod.pod.name.name, former.since_ns / step_ns, former.until_ns / step_ns)
            });
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn of_too_many_who_lost_their_address_the_earliest_are_forgotten() {
        let web = directory(1, Some(("web", "1"))).addresses[&ADDRESS.into()].clone();
        let mut directory = directory(1, None);
        for number in 0..MAX_FORMER as u64 + 10 {
            let address = std::net::Ipv6Addr::from_bits(number.into()).into();
            let former = Former { pod: Arc::clone(&web), since_ns: 0, until_ns: number };
            directory.former.insert(address, former);
        }
        directory.forget(MAX_FORMER as u64 + 10);
        assert_eq!(directory.former.len(), MAX_FORMER);
        assert!(directory.former.values().all(|former| former.until_ns >= 10));
    }
}
