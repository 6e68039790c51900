//! Who is at the ends of a connection, by the directory of now.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::MapError;
use palomar_bpf::abi::{IDENTITY_ANY, IDENTITY_HOST, IDENTITY_UNMANAGED, IDENTITY_WORLD};
use palomar_model::flow::FlowEndpoint;
use palomar_model::object::ObjectName;

use super::query::Sources;
use crate::enrich::{End, Ends, LocalEnd, Owners};

/// Ends that are remembered; beyond that all are forgotten and made anew.
const MAX_REMEMBERED: usize = 65_536;

/// An end, as far as its name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// The pod behind an interface of this node.
    Interface(u32),
    /// Whoever has the address.
    Address(IpAddr),
    /// Somebody who had the address before the pod that has it now, and is not known any more.
    Former(IpAddr),
    /// The pod that had the address last, and lost it.
    Gone(IpAddr),
    /// Whoever hides behind an address of the node.
    Masked,
}

/// Names for one query. Each end gets a number, the same for as long as the query does not forget.
pub(super) struct Names {
    sources: Sources,
    ends: Ends,
    owners: Owners,
    /// Addresses behind this node's interfaces.
    interfaces: HashMap<IpAddr, u32>,
    numbers: HashMap<Whose, u32>,
    endpoints: Vec<Arc<FlowEndpoint>>,
}

// === impl Names ===

impl Names {
    pub(super) fn new(sources: Sources) -> Self {
        let directory = &sources.directory;
        let behind = directory
            .endpoints
            .values()
            .flat_map(|endpoint| endpoint.addresses.iter().map(|address| (*address, endpoint.id)));
        let mut interfaces: HashMap<IpAddr, u32> = behind.collect();
        // of an address that two claim, the directory says whose it is
        let owned = directory.addresses.iter().filter(|(_, pod)| pod.flow_endpoint.id != 0);
        interfaces.extend(owned.map(|(address, pod)| (*address, pod.flow_endpoint.id)));
        Self {
            sources,
            ends: Ends::default(),
            owners: Owners::default(),
            interfaces,
            numbers: HashMap::new(),
            endpoints: Vec::new(),
        }
    }

    /// Whether the interface is one that is watched now.
    pub(super) fn is_watched(&self, ifindex: u32) -> bool {
        self.sources.directory.endpoints.contains_key(&ifindex)
    }

    /// Who had an address during a connection that began and was last seen at these moments of the kernel's clock.
    pub(super) fn owner(&self, address: IpAddr, began_ns: u64, last_seen_ns: u64) -> Whose {
        let directory = &self.sources.directory;
        let former = directory.former.get(&address);
        let was_with_former =
            former.is_some_and(|former| began_ns <= former.until_ns && former.since_ns <= last_seen_ns);
        let came_later =
            directory.came_at_ns.get(&address).is_some_and(|came_at_ns| *came_at_ns > last_seen_ns);
        let is_somebodys = directory.addresses.contains_key(&address)
            || self.interfaces.contains_key(&address)
            || directory.node_addresses.contains(&address);
        match (came_later, was_with_former) {
            (true, true) => Whose::Gone(address),
            (true, false) => Whose::Former(address),
            (false, true) if !is_somebodys => Whose::Gone(address),
            (false, _) => Whose::Address(address),
        }
    }

    /// The watched interface that leads to an address; `None` where none of this node does.
    pub(super) fn interface_of(&self, address: IpAddr) -> Option<u32> {
        self.interfaces.get(&address).copied()
    }

    /// The name of an interface; empty if it is not known.
    pub(super) fn interface_name(&self, ifindex: u32) -> &str {
        self.sources.directory.endpoints.get(&ifindex).map_or("", |endpoint| &endpoint.interface)
    }

    /// The service that has a cluster address.
    pub(super) fn service(&self, address: IpAddr) -> Option<&ObjectName> {
        self.sources.directory.services.get(&address)
    }

    /// The end of that number.
    pub(super) fn endpoint(&self, number: u32) -> &Arc<FlowEndpoint> {
        &self.endpoints[usize::try_from(number).expect("invariant: numbers are indices")]
    }

    /// Forgets all ends where they have become too many. Numbers given before mean nothing then.
    pub(super) fn forget_if_full(&mut self) -> bool {
        let is_full = self.endpoints.len() >= MAX_REMEMBERED;
        if is_full {
            self.numbers.clear();
            self.endpoints.clear();
        }
        is_full
    }

    /// The number of an end.
    pub(super) fn number(&mut self, whose: Whose) -> Result<u32, MapError> {
        if let Some(number) = self.numbers.get(&whose) {
            return Ok(*number);
        }
        let end = self.end(whose)?;
        let Sources { directory, attributions, .. } = &self.sources;
        let gone = match whose {
            Whose::Gone(address) => directory.former.get(&address),
            _ => None,
        };
        if let Some(former) = gone {
            return Ok(self.remember(whose, Arc::clone(&former.pod.flow_endpoint)));
        }
        // the directory is that of now, and so is every end: nobody is asked for who had an address before
        let (endpoint, _) = self.ends.resolve(&end, u64::MAX, directory, &self.owners, &**attributions);
        Ok(self.remember(whose, endpoint))
    }

    fn remember(&mut self, whose: Whose, endpoint: Arc<FlowEndpoint>) -> u32 {
        let number = u32::try_from(self.endpoints.len()).expect("invariant: few are remembered");
        self.endpoints.push(endpoint);
        self.numbers.insert(whose, number);
        number
    }

    /// What the kernel would say of the end, had it to tell a flow.
    fn end(&self, whose: Whose) -> Result<End, MapError> {
        const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let directory = &self.sources.directory;
        let local = |ifindex| Some(LocalEnd { ifindex, id: ifindex });
        let (address, internal_identity, class, local) = match whose {
            Whose::Interface(ifindex) => {
                let pod = directory.endpoints.get(&ifindex).and_then(|endpoint| endpoint.pod.as_ref());
                (NOWHERE, pod.map_or(IDENTITY_UNMANAGED, |pod| pod.internal_identity), 0, local(ifindex))
            }
            Whose::Masked => (NOWHERE, IDENTITY_WORLD, 0, None),
            // no identity, of which nothing is known
            Whose::Former(_) | Whose::Gone(_) => (NOWHERE, IDENTITY_ANY, 0, None),
            Whose::Address(address) => {
                if let Some(pod) = directory.addresses.get(&address) {
                    (address, pod.internal_identity, 0, None)
                } else if let Some(ifindex) = self.interface_of(address) {
                    (address, IDENTITY_UNMANAGED, 0, local(ifindex))
                } else if directory.node_addresses.contains(&address) {
                    (address, IDENTITY_HOST, 0, None)
                } else {
                    (address, IDENTITY_WORLD, self.sources.tables.class(address)?, None)
                }
            }
        };
        Ok(End { address, internal_identity, class, local, masked: whose == Whose::Masked })
    }
}
