//! Services: whoever connects to one is led to one of its backends only later, so what policy says of its address is
//! made from what it says of each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use palomar_model::attribution::RuleRef;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::verdict::Direction;
use palomar_model::world::World;

use crate::compiled::{Entry, PeerKey};
use crate::rule_sets::RuleSet;
use crate::scope::{PortPrefix, Scope};

/// Where each port of a service's address leads: addresses and ports of pods. A port without backends has none.
pub type Targets = BTreeMap<(Protocol, u16), BTreeSet<(IpAddr, u16)>>;

/// Where the ports of each service's cluster addresses lead, by address. Services without a selector are left out: who
/// stands behind them is not known.
pub fn targets(world: &World) -> BTreeMap<IpAddr, Targets> {
    let mut targets = BTreeMap::new();
    for service in world.services.values().filter(|service| service.selector.is_some()) {
        // pods are sorted by namespace first
        let namespace = &service.name.namespace;
        let from = world.pods.range(ObjectName::new(namespace, "")..);
        let pods = from.take_while(|(name, _)| name.namespace == *namespace).map(|(_, pod)| pod);
        let pods: Vec<_> = pods.filter(|pod| service.is_before(pod)).collect();
        for address in &service.cluster_ips {
            let mut of_address = Targets::new();
            for port in &service.ports {
                let backends = of_address.entry((port.protocol, port.port)).or_default();
                for pod in &pods {
                    let own = pod.addresses.iter().filter(|own| own.is_ipv4() == address.is_ipv4());
                    let numbers = port.numbers_in(pod);
                    backends.extend(own.flat_map(|own| numbers.iter().map(|number| (*own, *number))));
                }
            }
            targets.insert(*address, of_address);
        }
    }
    targets
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
    /// Whether its packets are delivered on this node, by an interface that is watched.
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
    entries: HashMap<(PeerKey, Scope), &'e RuleSet>,
}

impl Backends {
    /// Everyone behind any port.
    pub fn peers(&self) -> impl Iterator<Item = PeerKey> {
        self.ports.values().flatten().flat_map(|backend| {
            let class = (backend.class != 0).then_some(PeerKey::Class(backend.class));
            [PeerKey::Identity(backend.identity)].into_iter().chain(class)
        })
    }

    /// The entries of a service with these backends. A port has one where every backend is allowed, or where those that
    /// are not are local: their egress is judged again at their own interface. It has none where no backend is
    /// allowed, or where one that is not is elsewhere: nobody could tell it from the others any more.
    pub(crate) fn entries(&self, number: u32, by_peer: &ByPeer<'_>) -> Vec<Entry> {
        let entries = self.ports.iter().filter_map(|((protocol, port), backends)| {
            let mut rules: BTreeSet<RuleRef> = BTreeSet::new();
            let mut later = false;
            for backend in backends {
                match by_peer.allowing(*backend, *protocol) {
                    Some(allowing) => rules.extend(allowing),
                    None if backend.is_local => later = true,
                    None => return None,
                }
            }
            (!rules.is_empty()).then(|| Entry {
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
        Self { entries: egress.map(|entry| ((entry.peer, entry.scope), &entry.rules)).collect() }
    }

    /// Every rule that allows a connection to a backend, found as the kernel finds it; `None`: none does.
    fn allowing(&self, backend: Backend, protocol: Protocol) -> Option<Vec<RuleRef>> {
        let scopes: Vec<Scope> =
            Scope::Ports(protocol, PortPrefix::new(backend.port, 16)).covering().collect();
        let longest = |peer| scopes.iter().rev().find_map(|scope| self.entries.get(&(peer, *scope)));
        let identity = longest(PeerKey::Identity(backend.identity)).or_else(|| longest(PeerKey::Any));
        let class = (backend.class != 0).then(|| longest(PeerKey::Class(backend.class))).flatten();
        let rules = identity.into_iter().chain(class).flat_map(|rules| rules.iter().cloned());
        let rules: Vec<RuleRef> = rules.collect();
        (!rules.is_empty()).then_some(rules)
    }
}
