//! Who is at an end of a packet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use palomar_bpf::abi::{IDENTITY_HOST, IDENTITY_UNMANAGED, IDENTITY_WORLD};
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;
use palomar_model::labels::{Label, LabelSet};

use super::attributions::Attributions;
use super::owners::Owners;
use crate::directory::Directory;

/// Ends without a pod that are kept made; beyond that they are made anew.
const MAX_MADE: usize = 16_384;

/// One end of a packet, as the kernel told it.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The packet's address.
    pub address: IpAddr,
    /// The kernel's identity of this end.
    pub internal_identity: u32,
    /// The CIDR class of the address; 0 for none, and for the local end.
    pub class: u32,
    /// The interface and the endpoint number, at the local end.
    pub local: Option<LocalEnd>,
    /// Whether the address hides the real sender.
    pub masked: bool,
}

/// The interface that the packet was seen on.
#[derive(Debug, Clone, Copy)]
pub struct LocalEnd {
    /// The interface index.
    pub ifindex: u32,
    /// The endpoint number.
    pub id: u32,
}

/// What an end without a pod looks like depends on this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Podless {
    /// A reserved identity; the number is the local endpoint's, 0 elsewhere.
    Reserved(Identity, u32),
    /// A world address of this CIDR class.
    Class(u32),
    /// An identity of pods, but no pod is known that had the address.
    Internal(u32, u32),
}

/// Makes ends, and keeps those that it made for a directory.
#[derive(Debug, Default)]
pub struct Ends {
    made: HashMap<Podless, Arc<FlowEndpoint>>,
}

// === impl Ends ===

impl Ends {
    /// Forgets what was made for another directory.
    pub fn clear(&mut self) {
        self.made.clear();
    }

    /// Who is at an end at a moment of the kernel's clock, and the first moment from which on the answer stays the same;
    /// `u64::MAX` if it is good for this moment only.
    pub fn resolve(
        &mut self,
        end: &End,
        monotonic_ns: u64,
        directory: &Directory,
        owners: &Owners,
        attributions: &dyn Attributions,
    ) -> (Arc<FlowEndpoint>, u64) {
        if end.masked {
            return (self.podless(Podless::Reserved(Identity::WORLD, 0), directory, attributions), 0);
        }
        // what the interface leads to is surer than an address, which a packet may falsely claim
        let behind_interface = end
            .local
            .and_then(|local| directory.endpoints.get(&local.ifindex))
            .and_then(|endpoint| endpoint.pod.as_ref())
            .filter(|pod| pod.internal_identity == end.internal_identity);
        if let Some(pod) = behind_interface {
            return (Arc::clone(&pod.flow_endpoint), 0);
        }
        let owner = owners.at(directory, end.address, end.internal_identity, monotonic_ns);
        let endpoint = match owner.pod {
            Some(pod) => Arc::clone(&pod.flow_endpoint),
            None => self.podless(podless(end, directory), directory, attributions),
        };
        (endpoint, owner.since_ns)
    }

    fn podless(
        &mut self,
        podless: Podless,
        directory: &Directory,
        attributions: &dyn Attributions,
    ) -> Arc<FlowEndpoint> {
        if let Some(made) = self.made.get(&podless) {
            return Arc::clone(made);
        }
        let made = Arc::new(make(podless, directory, attributions));
        if self.made.len() >= MAX_MADE {
            self.made.clear();
        }
        self.made.insert(podless, Arc::clone(&made));
        made
    }
}

fn podless(end: &End, directory: &Directory) -> Podless {
    let id = end.local.map_or(0, |local| local.id);
    match end.internal_identity {
        IDENTITY_HOST => Podless::Reserved(Identity::HOST, 0),
        IDENTITY_UNMANAGED => Podless::Reserved(Identity::UNMANAGED, id),
        number if number == Identity::REMOTE_NODE.0 => Podless::Reserved(Identity::REMOTE_NODE, 0),
        IDENTITY_WORLD if directory.remote_nodes.contains(&end.address) => {
            Podless::Reserved(Identity::REMOTE_NODE, 0)
        }
        IDENTITY_WORLD if end.class != 0 => Podless::Class(end.class),
        IDENTITY_WORLD => Podless::Reserved(Identity::WORLD, 0),
        other => Podless::Internal(other, id),
    }
}

fn make(podless: Podless, directory: &Directory, attributions: &dyn Attributions) -> FlowEndpoint {
    let (id, identity, labels) = match podless {
        Podless::Reserved(identity, id) => (id, identity, reserved_labels(identity)),
        Podless::Class(class) => {
            let labels = attributions.class_labels(class);
            let identity = Identity(Identity::CIDR_BASE.saturating_add(class));
            (0, identity, labels.unwrap_or_else(|| reserved_labels(Identity::WORLD)))
        }
        Podless::Internal(internal, id) => match directory.identities.get(&internal) {
            Some((identity, labels)) => (id, *identity, labels.clone()),
            None => (id, Identity::UNKNOWN, reserved_labels(Identity::UNKNOWN)),
        },
    };
    let outside =
        matches!(identity, Identity::WORLD | Identity::UNKNOWN) || matches!(podless, Podless::Class(_));
    FlowEndpoint {
        id,
        identity,
        labels,
        pod: None,
        workload: None,
        cluster: if outside { Arc::from("") } else { Arc::clone(&directory.cluster) },
    }
}

fn reserved_labels(identity: Identity) -> LabelSet {
    identity.reserved_labels().unwrap_or_else(|| LabelSet::new(vec![Label::reserved("unknown")]))
}
