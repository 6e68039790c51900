//! Services: whoever connects to one is led to one of its backends only later, so what policy says of its address is
//! made from what it says of each of them.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::net::IpAddr;

use foldhash::HashMap;
use palomar_model::attribution::RuleRef;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::{Service, World};

use crate::behind::{Behind, Reach, Slices};
use crate::compiled::{Entry, PeerKey};
use crate::rule_sets::RuleSet;
use crate::scope::{PortPrefix, Scope};

/// Where each port of a service's address leads, or each node port. A port without backends has an entry as well.
pub type Targets = BTreeMap<(Protocol, u16), Leads>;

/// Where a port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// Addresses and ports, of pods and of others; empty: nobody stands behind it.
    pub backends: BTreeSet<(IpAddr, u16)>,
    /// Whether they see the source's own address, not a node's in its place.
    pub keeps_source: bool,
}

/// Where the ports of each service's cluster and external addresses lead the pods of a node, by address. Services without
/// a selector and without endpoint slices are left out: who stands behind them is not known.
///
/// Where several services claim one port of an address, the backends of all of them stand behind it, and the source is
/// kept only where all keep it: which of them a node takes is not known, and this is right for each.
pub fn targets(world: &World, node: &str) -> BTreeMap<IpAddr, Targets> {
    targets_of(world, node, world.services.values().map(AsRef::as_ref))
}

/// As [`targets`], for these services of the world alone.
pub fn targets_of<'w>(
    world: &'w World,
    node: &str,
    services: impl Iterator<Item = &'w Service>,
) -> BTreeMap<IpAddr, Targets> {
    let mut targets: BTreeMap<IpAddr, Targets> = BTreeMap::new();
    for (service, behind) in known(world, services) {
        let reach = if service.is_node_local { Reach::Node(node) } else { Reach::Cluster };
        let cluster = service.cluster_ips.iter().map(|address| (address, true, reach));
        let external = service.external_addresses.iter();
        let external = external.map(|address| (address, service.keeps_source, Reach::Cluster));
        for (address, keeps_source, reach) in cluster.chain(external) {
            let of_address = targets.entry(*address).or_default();
            for port in &service.ports {
                let backends = behind.backends(port, address.is_ipv4(), reach);
                let leads = Leads { backends, keeps_source };
                leads.join(of_address, (port.protocol, port.port));
            }
        }
    }
    targets
}

/// Where each node port leads in one address family. Several services that claim one are treated as in [`targets`].
pub fn node_ports(world: &World, is_ipv4: bool) -> Targets {
    let mut targets = Targets::new();
    let has_any = |service: &&Service| service.ports.iter().any(|port| port.node_port.is_some());
    let services = world.services.values().map(AsRef::as_ref).filter(has_any);
    for (service, behind) in known(world, services) {
        for port in &service.ports {
            let Some(number) = port.node_port else { continue };
            let backends = behind.backends(port, is_ipv4, Reach::Cluster);
            let leads = Leads { backends, keeps_source: service.keeps_source };
            leads.join(&mut targets, (port.protocol, number));
        }
    }
    targets
}

/// Those of the services of which it is known who stands behind them, and who does.
fn known<'w>(
    world: &'w World,
    services: impl Iterator<Item = &'w Service>,
) -> impl Iterator<Item = (&'w Service, Behind<'w>)> {
    let slices = Slices::of(world);
    let services = services.map(move |service| (service, slices.behind(world, service)));
    services.filter(|(_, behind)| !matches!(behind, Behind::Unknown))
}

// === impl Leads ===

impl Leads {
    fn join(self, targets: &mut Targets, port: (Protocol, u16)) {
        let Self { backends, keeps_source } = self;
        match targets.entry(port) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(Self { backends, keeps_source });
            }
            btree_map::Entry::Occupied(mut entry) => {
                let there = entry.get_mut();
                there.backends.extend(backends);
                there.keeps_source &= keeps_source;
            }
        }
    }
}

/// A pod behind a service, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Internal identity.
    pub identity: u32,
    /// CIDR class of its address; 0: none.
    pub class: u32,
    /// Its port.
    pub port: u16,
    /// Whether its packets are delivered on this node, by an interface that is watched, with the source's own address.
    pub is_local: bool,
}

/// What stands behind each port of a service's address.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backends {
    /// By protocol and port of the service.
    pub ports: BTreeMap<(Protocol, u16), BTreeSet<Backend>>,
}

/// The entries of one set by what the kernel asks for.
pub(crate) struct ByPeer<'e> {
    /// Of most backends a set says nothing, which is found out by one look for the peer.
    entries: HashMap<PeerKey, Vec<(Scope, &'e RuleSet)>>,
}

impl Backend {
    /// Whom rules that allow it may speak of.
    pub(crate) fn peers(self) -> impl Iterator<Item = PeerKey> {
        let class = (self.class != 0).then_some(PeerKey::Class(self.class));
        [PeerKey::Identity(self.identity)].into_iter().chain(class)
    }
}

impl Backends {
    /// Everyone behind any port.
    pub fn peers(&self) -> impl Iterator<Item = PeerKey> {
        self.each().flat_map(|(_, backend)| backend.peers())
    }

    /// Each backend, with the service's port that leads to it.
    pub(crate) fn each(&self) -> impl Iterator<Item = ((Protocol, u16), Backend)> {
        self.ports.iter().flat_map(|(port, backends)| backends.iter().map(|backend| (*port, *backend)))
    }

    /// The entries of a service with these backends. A port has one where every backend is allowed, or where those that
    /// are not are local: their egress is judged again at their own interface. It has none where no backend is
    /// allowed, or where one that is not is elsewhere: nobody could tell it from the others any more.
    ///
    /// A pod may always connect to itself. Of a local backend for which `may_be_own` says that it may be the very pod
    /// that connects, this too shows only where it is delivered: the pods of a set share its entries.
    pub(crate) fn entries(
        &self,
        number: u32,
        by_peer: &ByPeer<'_>,
        may_be_own: impl Fn(u32) -> bool,
    ) -> Vec<Entry> {
        let entries = self.ports.iter().filter_map(|((protocol, port), backends)| {
            let mut rules: BTreeSet<RuleRef> = BTreeSet::new();
            let (mut later, mut to_itself) = (false, false);
            for backend in backends {
                match by_peer.allowing(*backend, *protocol) {
                    Some(allowing) => rules.extend(allowing),
                    None if backend.is_local => {
                        later = true;
                        to_itself = to_itself || may_be_own(backend.identity);
                    }
                    None => return None,
                }
            }
            (to_itself || !rules.is_empty()).then(|| Entry {
                peer: PeerKey::Service(number),
                direction: Direction::Egress,
                scope: Scope::Ports(*protocol, PortPrefix::new(*port, 16)),
                rules: RuleSet::new(rules.into_iter().collect()),
                later,
            })
        });
        entries.collect()
    }
}

impl<'e> ByPeer<'e> {
    pub(crate) fn of_egress(entries: &'e [Entry]) -> Self {
        let egress = entries.iter().filter(|entry| entry.direction == Direction::Egress);
        let mut by_peer: HashMap<PeerKey, Vec<_>> = HashMap::default();
        for Entry { peer, scope, rules, .. } in egress {
            by_peer.entry(*peer).or_default().push((*scope, rules));
        }
        Self { entries: by_peer }
    }

    /// Whom the entries speak of.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerKey> {
        self.entries.keys().copied()
    }

    /// Whether an entry for any peer allows a port.
    pub(crate) fn allows_any(&self, protocol: Protocol, port: u16) -> bool {
        let asked = Scope::Ports(protocol, PortPrefix::new(port, 16));
        self.entries.get(&PeerKey::Any).is_some_and(|own| own.iter().any(|(scope, _)| scope.covers(asked)))
    }

    /// Every rule that allows a connection to a backend, found as the kernel finds it; `None`: none does.
    fn allowing(&self, backend: Backend, protocol: Protocol) -> Option<Vec<RuleRef>> {
        let asked = Scope::Ports(protocol, PortPrefix::new(backend.port, 16));
        let longest = |peer| {
            let covering = self.entries.get(&peer)?.iter().filter(|(scope, _)| scope.covers(asked));
            covering.max_by_key(|(scope, _)| scope.prefix_bits()).map(|(_, rules)| *rules)
        };
        let identity = longest(PeerKey::Identity(backend.identity)).or_else(|| longest(PeerKey::Any));
        let class = (backend.class != 0).then(|| longest(PeerKey::Class(backend.class))).flatten();
        let rules = identity.into_iter().chain(class).flat_map(|rules| rules.iter().cloned());
        let rules: Vec<RuleRef> = rules.collect();
        (!rules.is_empty()).then_some(rules)
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::object::ObjectName;

    use super::*;

    #[test]
    fn a_backend_is_allowed_by_the_rules_of_the_narrowest_ports_as_the_kernel_finds_them() {
        let rule = |index| RuleRef { policy: ObjectName::new("a", "p"), direction: Direction::Egress, index };
        let entry = |peer, scope, index| {
            let rules = RuleSet::new(vec![rule(index)]);
            Entry { peer, direction: Direction::Egress, scope, rules, later: false }
        };
        let tcp = |length| Scope::Ports(Protocol::Tcp, PortPrefix::new(80, length));
        let entries = [
            entry(PeerKey::Identity(300), tcp(12), 1),
            entry(PeerKey::Identity(300), tcp(16), 2),
            entry(PeerKey::Identity(300), Scope::Everything, 0),
            entry(PeerKey::Any, Scope::Protocol(Protocol::Tcp), 3),
            entry(PeerKey::Class(7), tcp(16), 4),
        ];
        let by_peer = ByPeer::of_egress(&entries);
        for (what, protocol, identity, class, port, expected) in [
            ("its port alone", Protocol::Tcp, 300, 0, 80, Some(vec![2])),
            ("a port beside it", Protocol::Tcp, 300, 0, 81, Some(vec![1])),
            ("any port", Protocol::Tcp, 300, 0, 8_080, Some(vec![0])),
            ("anybody", Protocol::Tcp, 301, 0, 80, Some(vec![3])),
            ("its address as well", Protocol::Tcp, 301, 7, 80, Some(vec![3, 4])),
            ("nobody", Protocol::Udp, 301, 7, 80, None),
        ] {
            let backend = Backend { identity, class, port, is_local: false };
            let found = by_peer.allowing(backend, protocol);
            assert_eq!(found, expected.map(|all| all.into_iter().map(rule).collect()), "{what}");
        }
    }
}
