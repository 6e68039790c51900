//! What identities, CIDR classes and numbers of services stand for, kept in step with what is desired by what is
//! different in it; and what of the kernel's tables that leaves to be written.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use palomar_bpf::abi::{self, Address, NodePort};
use palomar_model::netpol::IpBlock;
use palomar_model::packet::Protocol;
use palomar_model::shared_map::SharedMap;
use palomar_policy::cidr::PortName;
use palomar_policy::service::Targets;
use palomar_policy::{ClassTable, Classes, IdentityLabels, PeerKey, Universe, cidr};

use super::EnforceError;
use super::desired::{Desired, DesiredAddress};
use super::linger::Lingering;
use super::services::{Place, Ports, Renumbered, Services};

/// The meanings in force, and what is left to be done about those that have changed.
#[derive(Debug)]
pub(super) struct Meanings {
    pub(super) class_table: ClassTable,
    classes: Classes,
    /// The blocks and the names of ports that the classes are made from.
    blocks: Lingering<IpBlock>,
    port_names: Lingering<PortName>,
    /// Whether the classes are yet to be made from them.
    is_unclassified: bool,
    services: Services,
    universe: Universe,
    seen: Seen,
    pub(super) left: Left,
}

/// What was desired last.
#[derive(Debug, Default)]
struct Seen {
    addresses: SharedMap<IpAddr, DesiredAddress>,
    identities: SharedMap<u32, IdentityLabels>,
    services: SharedMap<IpAddr, Arc<Targets>>,
    node_ports: [Arc<Targets>; 2],
    blocks: Arc<BTreeSet<IpBlock>>,
    port_names: Arc<BTreeSet<PortName>>,
}

/// What has changed since the kernel's tables were last written; whoever writes takes out what is done.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The addresses whose entry may be another.
    pub(super) addresses: BTreeSet<[u8; 16]>,
    /// The same of ports of the node.
    pub(super) node_ports: BTreeSet<NodePort>,
    /// Whether prefixes may have another class.
    pub(super) prefixes: bool,
    /// Whom the universe has that it had not.
    pub(super) arrived: BTreeSet<PeerKey>,
    /// Whom it has no more.
    pub(super) departed: BTreeSet<PeerKey>,
}

// === impl Meanings ===

impl Meanings {
    /// Nothing is desired yet; `left` is what the kernel's tables hold.
    pub(super) fn new(class_table: ClassTable, left: Left) -> Self {
        Self {
            class_table,
            classes: Classes::default(),
            blocks: Lingering::default(),
            port_names: Lingering::default(),
            is_unclassified: false,
            services: Services::default(),
            universe: Universe::default(),
            seen: Seen::default(),
            left,
        }
    }

    /// Everyone whom rules may speak of.
    pub(super) const fn universe(&self) -> &Universe {
        &self.universe
    }

    /// The CIDR classes in force.
    pub(super) const fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Takes in what is desired. What fails is tried again with the next.
    pub(super) fn follow(&mut self, desired: &Desired, now: Instant) -> Result<(), EnforceError> {
        let identities = self.follow_identities(desired)?;
        self.is_unclassified |= self.blocks.follow(&self.seen.blocks, &desired.blocks, now)
            | self.port_names.follow(&self.seen.port_names, &desired.port_names, now);
        self.seen.blocks = Arc::clone(&desired.blocks);
        self.seen.port_names = Arc::clone(&desired.port_names);

        let changed = self.seen.addresses.changes(&desired.addresses);
        let mut addresses: BTreeSet<IpAddr> = changed.into_iter().map(|change| *change.key).collect();
        if self.is_unclassified {
            addresses.extend(self.classify(desired)?);
        } else if !self.port_names.all().is_empty() {
            let has = |wanted: &DesiredAddress| identities.contains(&wanted.identity);
            let theirs = desired.addresses.iter().filter(|(_, wanted)| !identities.is_empty() && has(wanted));
            addresses.extend(theirs.map(|(address, _)| *address));
            self.classify_pods(desired, &addresses)?;
        }
        self.follow_services(desired, &addresses);
        self.left.addresses.extend(addresses.into_iter().map(abi::address_bytes));
        self.seen.addresses = desired.addresses.clone();
        Ok(())
    }

    /// Gives the identities that came, went or changed.
    fn follow_identities(&mut self, desired: &Desired) -> Result<BTreeSet<u32>, EnforceError> {
        let mut changed = BTreeSet::new();
        for change in self.seen.identities.changes(&desired.identities) {
            let peer = PeerKey::Identity(*change.key);
            match change.after {
                Some(labels) => self.universe.add_identity(*change.key, labels.clone())?,
                None => self.universe.remove_identity(*change.key),
            }
            self.left.note(peer, change.after.is_some());
            changed.insert(*change.key);
        }
        self.seen.identities = desired.identities.clone();
        Ok(changed)
    }

    /// Makes the classes anew; gives the addresses that are of another class than before.
    fn classify(&mut self, desired: &Desired) -> Result<Vec<IpAddr>, EnforceError> {
        let mut classes = self.class_table.classify(self.blocks.all())?;
        let pods = desired.addresses.iter().filter_map(|(address, wanted)| {
            Some((*address, &desired.identities.get(&wanted.identity)?.named_ports))
        });
        self.class_table.classify_pods(&mut classes, self.port_names.all(), pods)?;
        let before = std::mem::replace(&mut self.classes, classes);
        for (number, _) in before.iter().filter(|(number, _)| self.classes.get(*number).is_none()) {
            self.universe.remove_class(number);
            self.left.note(PeerKey::Class(number), false);
        }
        for (number, class) in self.classes.iter().filter(|(number, _)| before.get(*number).is_none()) {
            self.universe.add_class(number, class.clone());
            self.left.note(PeerKey::Class(number), true);
        }
        self.left.prefixes = true;
        self.is_unclassified = false;
        let all = desired.addresses.keys().copied().chain(self.services.backends());
        Ok(all.filter(|address| before.class_of(*address) != self.classes.class_of(*address)).collect())
    }

    /// Gives these addresses the classes of the pods that have them now.
    fn classify_pods(
        &mut self,
        desired: &Desired,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<(), cidr::ClassesExhausted> {
        let Self { class_table, classes, port_names, universe, left, .. } = self;
        for address in addresses {
            let owner = desired.addresses.get(address);
            let pods = owner.and_then(|owner| desired.identities.get(&owner.identity));
            let named_ports = pods.map(|pods| &pods.named_ports);
            for number in class_table.classify_pod(classes, port_names.all(), *address, named_ports)? {
                let class = classes.get(number);
                match class {
                    Some(class) => universe.add_class(number, class.clone()),
                    None => universe.remove_class(number),
                }
                left.note(PeerKey::Class(number), class.is_some());
            }
        }
        Ok(())
    }

    /// Numbers the services that changed, and those behind which one of these addresses stands.
    fn follow_services(&mut self, desired: &Desired, addresses: &BTreeSet<IpAddr>) {
        let behind = addresses.iter().flat_map(|address| self.services.before(*address));
        let mut places: BTreeSet<Place> = behind.collect();
        let changed = self.seen.services.changes(&desired.services);
        places.extend(changed.into_iter().map(|change| Place::Address(*change.key)));
        for (family, (before, after)) in families().zip(self.seen.node_ports.iter().zip(&desired.node_ports))
        {
            if Arc::ptr_eq(before, after) {
                continue;
            }
            let ports: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let changed = ports.into_iter().filter(|port| before.get(port) != after.get(port));
            places.extend(changed.map(|port| Place::NodePort(node_port(family, *port))));
        }
        for place in places {
            let before = ports_at(place, &self.seen.services, &self.seen.node_ports);
            let after = ports_at(place, &desired.services, &desired.node_ports);
            let numbers = self.services.lead(place, before.as_ref(), after, desired, &self.classes);
            self.note_service(place, numbers);
        }
        self.seen.services = desired.services.clone();
        self.seen.node_ports.clone_from(&desired.node_ports);
    }

    fn note_service(&mut self, place: Place, numbers: Renumbered) {
        if numbers.before == numbers.after {
            return;
        }
        match place {
            Place::Address(address) => drop(self.left.addresses.insert(abi::address_bytes(address))),
            Place::NodePort(port) => drop(self.left.node_ports.insert(port)),
        }
        for number in [numbers.before, numbers.after].into_iter().flatten() {
            let backends = self.services.carried(number);
            match backends {
                Some(backends) => self.universe.add_service(number, Arc::clone(backends)),
                None => self.universe.remove_service(number),
            }
            self.left.note(PeerKey::Service(number), backends.is_some());
        }
    }

    /// What the kernel is to know of an address; `None`: nothing, it is the world's.
    pub(super) fn address(&self, key: [u8; 16]) -> Option<Address> {
        let address = abi::address_from_bytes(key);
        // who has an address is surer than who is behind it
        if let Some(wanted) = self.seen.addresses.get(&address) {
            let DesiredAddress { identity, endpoint, node } = *wanted;
            let flags = if node { abi::ADDRESS_NODE } else { 0 };
            return Some(Address { identity, class: self.classes.class_of(address), endpoint, flags });
        }
        let class = self.services.number_at(Place::Address(address))?;
        Some(Address { identity: abi::IDENTITY_WORLD, class, endpoint: 0, flags: abi::ADDRESS_SERVICE })
    }

    /// What it takes an address for that it is told nothing of.
    pub(super) fn world(&self, key: [u8; 16]) -> Address {
        let class = self.classes.class_of(abi::address_from_bytes(key));
        Address { identity: abi::IDENTITY_WORLD, class, endpoint: 0, flags: 0 }
    }

    /// The number behind a port of the node; `None`: it is the node's own.
    pub(super) fn node_port(&self, port: NodePort) -> Option<u32> {
        self.services.number_at(Place::NodePort(port))
    }

    /// Forgets what stands for nothing any more, and what no rule speaks of.
    pub(super) fn retain(&mut self, is_known: impl Fn(PeerKey) -> bool) {
        let classes = &self.classes;
        self.class_table.retain(|class| classes.get(class).is_some() || is_known(PeerKey::Class(class)));
        self.services.retain(|number| is_known(PeerKey::Service(number)));
    }
}

// === impl Left ===

impl Left {
    fn note(&mut self, peer: PeerKey, is_there: bool) {
        let (to, from) = if is_there {
            (&mut self.arrived, &mut self.departed)
        } else {
            (&mut self.departed, &mut self.arrived)
        };
        from.remove(&peer);
        to.insert(peer);
    }
}

fn families() -> impl Iterator<Item = u8> {
    [4, 6].into_iter()
}

fn node_port(family: u8, (protocol, number): (Protocol, u16)) -> NodePort {
    NodePort { port: number.to_be(), protocol: protocol.number(), family }
}

/// Where a place leads; `None`: there is no service.
fn ports_at<'t>(
    place: Place,
    services: &'t SharedMap<IpAddr, Arc<Targets>>,
    node_ports: &'t [Arc<Targets>; 2],
) -> Option<Ports<'t>> {
    match place {
        Place::Address(address) => {
            Some(services.get(&address)?.iter().map(|(port, leads)| (*port, leads)).collect())
        }
        Place::NodePort(at) => {
            let targets = &node_ports[usize::from(at.family == 6)];
            let port = (Protocol::from_number(at.protocol), u16::from_be(at.port));
            Some(vec![(port, targets.get(&port)?)])
        }
    }
}
