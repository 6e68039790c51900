//! From a kernel event to a record of the ring.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_model::flow::Event;
use palomar_model::object::ObjectName;
use palomar_model::verdict::{ConnectionState, Direction, Verdict};

use super::attributions::{Attribution, Attributions, Decision};
use super::ends::{End, Ends, LocalEnd};
use super::namespaces::{NamespaceWriter, SeenNamespaces};
use super::owners::Owners;
use crate::clock::{TimeAnchor, monotonic_now_ns};
use crate::decode::KernelEvent;
use crate::directory::Directory;
use crate::ring::{Interface, PoliciesId, Record, Writer};

/// Interfaces and services that are kept made.
const MAX_MADE: usize = 16_384;

/// Where the enricher's knowledge comes from.
#[derive(Clone)]
pub struct Sources {
    /// The newest directory.
    pub directory: Arc<ArcSwap<Directory>>,
    /// The meaning of the kernel's policy numbers.
    pub attributions: Arc<dyn Attributions>,
    /// Where the namespaces of flows are told.
    pub namespaces: Arc<SeenNamespaces>,
}

/// Makes records and writes them.
pub struct Enricher {
    sources: Sources,
    writer: Writer,
    namespaces: NamespaceWriter,
    directory: Arc<Directory>,
    owners: Owners,
    ends: Ends,
    interfaces: HashMap<u32, Arc<Interface>>,
    services: HashMap<IpAddr, Arc<ObjectName>>,
    anchor: TimeAnchor,
    erasures: u64,
    records: Vec<Record>,
}

// === impl Enricher ===

impl Enricher {
    /// An enricher that writes to a ring.
    pub fn new(sources: Sources, writer: Writer) -> Self {
        Self {
            namespaces: NamespaceWriter::new(Arc::clone(&sources.namespaces)),
            directory: sources.directory.load_full(),
            sources,
            erasures: writer.erasures(),
            writer,
            owners: Owners::default(),
            ends: Ends::default(),
            interfaces: HashMap::new(),
            services: HashMap::new(),
            anchor: TimeAnchor::now(),
            records: Vec::new(),
        }
    }

    /// Relates the two clocks anew.
    pub fn set_anchor(&mut self, anchor: TimeAnchor) {
        self.anchor = anchor;
    }

    /// Writes the flows of some events, in their order. They can be read when this returns.
    pub fn enrich(&mut self, events: impl Iterator<Item = KernelEvent>) {
        self.follow_directory();
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        records.extend(events.map(|event| self.record(&event)));
        self.writer.append(&records);
        self.records = records;
        if self.erasures != self.writer.erasures() {
            self.erasures = self.writer.erasures();
            self.namespaces.forget();
        }
    }

    /// Takes in a new directory, if there is one: also while there are no events, so that none is passed over.
    pub fn follow_directory(&mut self) {
        let newest = self.sources.directory.load();
        if Arc::ptr_eq(&newest, &self.directory) {
            return;
        }
        let newest = Arc::clone(&newest);
        let made_at_ns = if newest.made_at_ns == 0 { monotonic_now_ns() } else { newest.made_at_ns };
        self.owners.change(&self.directory, &newest, made_at_ns);
        self.directory = newest;
        self.ends.clear();
        self.services.clear();
        // names of interfaces that have gone stay known, for the events that are still on the way
        let directory = &self.directory;
        self.interfaces.retain(|index, known| {
            directory.endpoints.get(index).is_none_or(|endpoint| endpoint.interface == known.name)
        });
    }

    fn record(&mut self, event: &KernelEvent) -> Record {
        let time_ns = self.anchor.wall_ns(event.monotonic_ns);
        let local = Some(LocalEnd { ifindex: event.ifindex, id: event.endpoint });
        let (at_source, at_destination) = match event.direction {
            Direction::Egress => (local, None),
            Direction::Ingress => (None, local),
        };
        let class = |local: Option<LocalEnd>| if local.is_some() { 0 } else { event.class };
        let source = End {
            address: event.source_address,
            internal_identity: event.source_identity,
            class: class(at_source),
            local: at_source,
            masked: event.source_masked,
        };
        let destination = End {
            address: event.destination_address,
            internal_identity: event.destination_identity,
            class: class(at_destination),
            local: at_destination,
            masked: false,
        };
        let [source, destination] = [source, destination].map(|end| {
            let Self { ends, directory, owners, sources, .. } = self;
            let endpoint = ends.resolve(&end, event.monotonic_ns, directory, owners, &*sources.attributions);
            let id = self.writer.endpoint(&endpoint);
            self.namespaces.see(id.index(), &endpoint, time_ns);
            id
        });
        let interface = self.interface(event.ifindex);
        Record {
            time_ns,
            source_address: event.source_address,
            destination_address: event.destination_address,
            source,
            destination,
            source_service: self.service(event.source_address).map(|name| self.writer.service(&name)),
            destination_service: self
                .service(event.destination_address)
                .map(|name| self.writer.service(&name)),
            interface: self.writer.interface(&interface),
            policies: self.policies(event),
            policy_revision: event.policy.revision(),
            transport: event.transport,
            event: event.event,
            verdict: event.verdict,
            state: event.state,
            direction: event.direction,
            rest: None,
        }
    }

    fn interface(&mut self, index: u32) -> Arc<Interface> {
        if let Some(known) = self.interfaces.get(&index) {
            return Arc::clone(known);
        }
        let endpoint = self.directory.endpoints.get(&index);
        let name = endpoint.map_or_else(|| Arc::from(""), |endpoint| Arc::clone(&endpoint.interface));
        let interface = Arc::new(Interface { index, name });
        if self.interfaces.len() >= MAX_MADE {
            self.interfaces.clear();
        }
        self.interfaces.insert(index, Arc::clone(&interface));
        interface
    }

    fn service(&mut self, address: IpAddr) -> Option<Arc<ObjectName>> {
        if self.directory.services.is_empty() {
            return None;
        }
        if let Some(made) = self.services.get(&address) {
            return Some(Arc::clone(made));
        }
        let made = Arc::new(self.directory.services.get(&address)?.clone());
        if self.services.len() < MAX_MADE {
            self.services.insert(address, Arc::clone(&made));
        }
        Some(made)
    }

    fn policies(&mut self, event: &KernelEvent) -> Option<PoliciesId> {
        let decision = decision(event)?;
        match self.sources.attributions.attribute(&decision) {
            Attribution::Policies(policies) => self.writer.policies(&policies),
            Attribution::Withheld => None,
        }
    }
}

/// What is to be attributed; `None` where no policy decided this packet: those of replies were decided in the other
/// direction.
fn decision(event: &KernelEvent) -> Option<Decision> {
    let judged = match event.event {
        Event::PolicyVerdict(_) => true,
        Event::Drop(reason) => reason == palomar_model::drop_reason::DropReason::POLICY_DENIED,
        Event::Trace(_) => matches!(event.state, ConnectionState::New | ConnectionState::Established),
    };
    let allowed_by_none =
        event.verdict == Verdict::Forwarded && event.rule_set == 0 && event.class_rule_set == 0;
    (judged && !allowed_by_none).then_some(Decision {
        monotonic_ns: event.monotonic_ns,
        endpoint: event.endpoint,
        policy_set: event.policy.set(),
        revision: event.policy.revision(),
        // A connection is judged as it began: what cuts its replies isolates the other direction.
        direction: match event.state {
            ConnectionState::Reply => event.direction.opposite(),
            _ => event.direction,
        },
        verdict: event.verdict,
        rule_set: event.rule_set,
        class_rule_set: event.class_rule_set,
    })
}
