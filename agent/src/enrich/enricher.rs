//! From a kernel event to a record of the ring.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_model::flow::Event;
use palomar_model::object::ObjectName;
use palomar_model::verdict::{ConnectionState, Direction, Verdict};

use super::attributions::{Attribution, Attributions, Decision};
use super::departures::{Departures, Fate, News};
use super::ends::{End, Ends, LocalEnd};
use super::foreign::{KernelWords, ToldDrop, ToldDrops};
use super::hits::{HitWriter, Hits};
use super::known::{Known, KnownDecision, KnownEnd};
use super::namespaces::{NamespaceWriter, SeenNamespaces};
use super::node_ports;
use super::owners::Owners;
use super::watched::Watched;
use crate::clock::{TimeAnchor, monotonic_now_ns, wall_now_ns};
use crate::decode::{ForeignDrop, KernelEvent};
use crate::directory::Directory;
use crate::ring::{Interface, PoliciesId, Record, RestId, Writer};

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

/// What was found out is found out anew after so long, in nanoseconds of the kernel's clock, so that namespaces are
/// seen again.
const ANEW_NS: u64 = 10_000_000_000;

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
    known: Known,
    known_of: KnownOf,
    drops: ToldDrops,
    departures: Departures,
    watched: Option<Arc<Watched>>,
    hits: Option<HitWriter>,
    ended: Vec<(KernelEvent, Fate)>,
    anchor: TimeAnchor,
    erasures: u64,
    records: Vec<Record>,
}

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enriched {
    /// Flows that were written.
    pub written: u64,
    /// Departures that a delivery, a drop or an answer followed: nothing is shown of them.
    pub settled: u64,
    /// Departures of which it cannot be told what became of them, or that there was no room for.
    pub unknown: u64,
    /// When the first of the unknown ones was seen, in nanoseconds since the Unix epoch; 0 where there are none.
    pub unknown_since_ns: i64,
}

/// What [`Known`] was found out under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KnownOf {
    epoch: u64,
    attributions: u64,
    from_ns: u64,
}

// === impl Enricher ===

impl Enricher {
    /// An enricher that writes to a ring.
    pub fn new(sources: Sources, writer: Writer) -> Self {
        Self {
            namespaces: NamespaceWriter::new(Arc::clone(&sources.namespaces)),
            directory: sources.directory.load_full(),
            known_of: KnownOf {
                epoch: writer.epoch(),
                attributions: sources.attributions.version(),
                from_ns: 0,
            },
            sources,
            erasures: writer.erasures(),
            writer,
            owners: Owners::default(),
            ends: Ends::default(),
            interfaces: HashMap::new(),
            services: HashMap::new(),
            known: Known::default(),
            drops: ToldDrops::default(),
            departures: Departures::new(),
            watched: None,
            hits: None,
            ended: Vec::new(),
            anchor: TimeAnchor::now(),
            records: Vec::new(),
        }
    }

    /// Tells drops by others in the kernel in its words; without this by their numbers.
    #[must_use]
    pub fn with_kernel_words(mut self, words: Arc<dyn KernelWords>) -> Self {
        self.drops = ToldDrops::with(words);
        self
    }

    /// Tells a packet as not delivered only where its destination is watched; without this, everything is.
    #[must_use]
    pub fn with_watched(mut self, watched: Arc<Watched>) -> Self {
        self.watched = Some(watched);
        self
    }

    /// Counts what policies decide; without this, nobody does.
    #[must_use]
    pub fn with_hits(mut self, hits: &Arc<Hits>) -> Self {
        self.hits = Some(HitWriter::new(Arc::clone(hits)));
        self
    }

    /// Relates the two clocks anew.
    pub fn set_anchor(&mut self, anchor: TimeAnchor) {
        self.anchor = anchor;
    }

    /// Writes the flows of some events, in their order. They can be read when this returns; who waits for them is woken by
    /// the next [`Enricher::wake`]. The events are best a few hundred: what changes meanwhile is taken in between two
    /// calls. Departures are not written but waited for: see [`Enricher::settle`].
    pub fn enrich(&mut self, events: impl Iterator<Item = KernelEvent>) -> Enriched {
        self.follow_directory();
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let mut enriched = Enriched::default();
        for event in events {
            if Departures::is_departure(&event) {
                if !self.departures.add(&event) {
                    self.count_unknown(&event, &mut enriched);
                }
                continue;
            }
            enriched.settled += self.departures.hear(&event);
            if let Event::PolicyVerdict(_) = event.event {
                self.count_hit(&event);
            }
            if records.is_empty() {
                self.mind_known(event.monotonic_ns);
            }
            records.push(self.record(&event));
        }
        self.write(records, &mut enriched);
        enriched
    }

    /// Writes those of the packets that are waited for of which it is now known that they were not delivered.
    pub fn settle(&mut self, news: &News) -> Enriched {
        let mut enriched = Enriched::default();
        let mut ended = std::mem::take(&mut self.ended);
        self.departures.end(news, |event, fate| ended.push((event, fate)));
        if !ended.is_empty() {
            self.follow_directory();
            self.mind_known(news.now_ns);
            let mut records = std::mem::take(&mut self.records);
            records.clear();
            for (event, fate) in ended.drain(..) {
                if fate == Fate::Vanished && self.is_watched(&event) {
                    records.push(self.record(&event));
                } else {
                    self.count_unknown(&event, &mut enriched);
                }
            }
            self.write(records, &mut enriched);
        }
        self.ended = ended;
        enriched
    }

    /// How many packets are waited for.
    pub fn waited_for(&self) -> usize {
        self.departures.len()
    }

    /// Gives up on all that is waited for.
    pub fn give_up(&mut self) -> Enriched {
        let unknown = self.departures.clear();
        Enriched { unknown, unknown_since_ns: wall_now_ns(), ..Enriched::default() }
    }

    fn write(&mut self, records: Vec<Record>, enriched: &mut Enriched) {
        enriched.written += records.len() as u64;
        self.writer.write(&records);
        self.records = records;
        if self.erasures != self.writer.erasures() {
            self.erasures = self.writer.erasures();
            self.namespaces.forget();
        }
    }

    #[cold]
    fn count_unknown(&self, event: &KernelEvent, enriched: &mut Enriched) {
        let left_ns = self.anchor.wall_ns(event.monotonic_ns);
        let is_first = enriched.unknown == 0 || left_ns < enriched.unknown_since_ns;
        if is_first {
            enriched.unknown_since_ns = left_ns;
        }
        enriched.unknown += 1;
    }

    /// Whether its delivery would have been seen. That of a pod that has gone would have been, as long as it was there.
    fn is_watched(&self, event: &KernelEvent) -> bool {
        let Some(watched) = &self.watched else { return true };
        let Directory { addresses, endpoints, .. } = &*self.directory;
        let address = event.destination_address;
        let of_pod = addresses.get(&address).map(|entry| entry.flow_endpoint.id);
        let unmanaged = || {
            let mut found = endpoints.values().filter(|endpoint| endpoint.addresses.contains(&address));
            found.next().map(|endpoint| endpoint.id)
        };
        let destination = of_pod.or_else(unmanaged);
        destination.is_none_or(|ifindex| watched.is_watched_since(ifindex, event.monotonic_ns))
    }

    /// Wakes those who wait for flows that were written since the last call.
    pub fn wake(&mut self) {
        self.writer.wake();
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
        self.known.clear();
        self.ends.clear();
        self.services.clear();
        // names of interfaces that have gone stay known, for the events that are still on the way
        let directory = &self.directory;
        self.interfaces.retain(|index, known| {
            directory.endpoints.get(index).is_none_or(|endpoint| endpoint.interface == known.name)
        });
    }

    /// Forgets what may not be so any more.
    fn mind_known(&mut self, monotonic_ns: u64) {
        let KnownOf { epoch, attributions, from_ns } = self.known_of;
        let version = self.sources.attributions.version();
        if attributions != version {
            // the labels of CIDR classes are in them
            self.ends.clear();
        }
        if epoch != self.writer.epoch()
            || attributions != version
            || monotonic_ns.abs_diff(from_ns) >= ANEW_NS
        {
            self.known_of =
                KnownOf { epoch: self.writer.epoch(), attributions: version, from_ns: monotonic_ns };
            self.known.clear();
        }
    }

    fn count_hit(&mut self, event: &KernelEvent) {
        let Self { hits: Some(hits), sources, directory, .. } = self else { return };
        let Some(decision) = decision(event) else { return };
        let left_out = if event.verdict == Verdict::Forwarded { 0 } else { event.suppressed };
        hits.count(&decision, 1 + u64::from(left_out), &*sources.attributions, |endpoint| {
            directory.endpoints.contains_key(&endpoint)
        });
    }

    #[inline]
    fn record(&mut self, event: &KernelEvent) -> Record {
        let time_ns = self.anchor.wall_ns(event.monotonic_ns);
        let [source, destination] = event_ends(event);
        let source = self.end(&source, event.monotonic_ns, time_ns);
        let destination = self.end(&destination, event.monotonic_ns, time_ns);
        let (mut source_service, mut destination_service) = (source.service, destination.service);
        match node_ports::service(&self.directory, event) {
            Some(node_ports::At::Source(name)) => source_service = Some(self.writer.service(name)),
            Some(node_ports::At::Destination(name)) => destination_service = Some(self.writer.service(name)),
            None => {}
        }
        let (seen, rest) = match event.foreign {
            None => (event.event, None),
            Some(drop) => self.foreign_drop(drop, event),
        };
        Record {
            time_ns,
            source_address: event.source_address,
            destination_address: event.destination_address,
            source: source.endpoint,
            destination: destination.endpoint,
            source_service,
            destination_service,
            interface: source
                .interface
                .or(destination.interface)
                .expect("invariant: one end of an event is local, and has an interface"),
            policies: self.policies(event),
            policy_revision: event.policy.revision(),
            transport: event.transport,
            event: seen,
            verdict: event.verdict,
            state: event.state,
            direction: event.direction,
            rest,
        }
    }

    /// What is seen where somebody else dropped a packet, and what a message says of it besides.
    #[cold]
    fn foreign_drop(&mut self, drop: ForeignDrop, event: &KernelEvent) -> (Event, Option<RestId>) {
        let ToldDrop { code, rest } = self.drops.tell(drop, event);
        (Event::Drop(code), rest.map(|rest| self.writer.rest(&rest)))
    }

    /// What an end is, remembered or found out.
    #[inline]
    fn end(&mut self, end: &End, monotonic_ns: u64, time_ns: i64) -> KnownEnd {
        match self.known.end(end, monotonic_ns) {
            Some(known) => known,
            None => self.find_out(end, monotonic_ns, time_ns),
        }
    }

    #[cold]
    fn find_out(&mut self, end: &End, monotonic_ns: u64, time_ns: i64) -> KnownEnd {
        let Self { ends, directory, owners, sources, .. } = self;
        let (endpoint, since_ns) = ends.resolve(end, monotonic_ns, directory, owners, &*sources.attributions);
        let id = self.writer.endpoint(&endpoint);
        self.namespaces.see(id.index(), &endpoint, time_ns);
        let known = KnownEnd {
            endpoint: id,
            service: self.service(end.address).map(|name| self.writer.service(&name)),
            interface: end.local.map(|local| {
                let interface = self.interface(local.ifindex);
                self.writer.interface(&interface)
            }),
            since_ns,
        };
        self.known.learn_end(end, known);
        known
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

    /// Who decided, remembered or asked.
    #[inline]
    fn policies(&mut self, event: &KernelEvent) -> Option<PoliciesId> {
        let decision = decision(event)?;
        if let Some(known) = self.known.decision(&decision) {
            return known.policies;
        }
        let policies = match self.sources.attributions.attribute(&decision) {
            Attribution::Policies(policies) => self.writer.policies(&policies),
            Attribution::Withheld => None,
        };
        self.known.learn_decision(&decision, KnownDecision { policies });
        policies
    }
}

/// Source and destination. The interface is that of the end at which the packet was seen.
#[inline]
fn event_ends(event: &KernelEvent) -> [End; 2] {
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
    [source, destination]
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
