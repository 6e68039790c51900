//! A ring and its enricher over the sample's world, and events without end.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_agent::decode::KernelEvent;
use palomar_agent::directory::Directory;
use palomar_agent::enrich::{Enricher, SeenNamespaces, Sources};
use palomar_agent::ring::{BATCH, Capacity, Ring};
use palomar_bpf::abi;
use palomar_model::flow::Event;
use palomar_model::verdict::{ConnectionState, ObservationPoint};
use palomar_sample::{Cluster, Traffic};

use crate::world::World;

/// Events that are made, as many as the agent's queue holds; they come again, later.
pub const EVENTS: u32 = 16_384;

/// What the event path works with.
pub struct Site {
    pub ring: Arc<Ring>,
    pub enricher: Enricher,
    pub events: Vec<abi::Event>,
    world: World,
    directory: Arc<ArcSwap<Directory>>,
}

impl Site {
    /// Over a ring that is full.
    pub fn full(capacity: u64) -> Self {
        let cluster = Cluster::new(1);
        let mut world = World::new(&cluster);
        let events = world.events(&mut Traffic::new(cluster, 1), EVENTS);
        let directory = Arc::new(ArcSwap::from_pointee(world.directory.clone()));
        let (writer, ring) = Ring::new(Capacity::try_from(capacity).unwrap());
        let sources = Sources {
            directory: Arc::clone(&directory),
            attributions: Arc::new(world.attributions.clone()),
            namespaces: Arc::new(SeenNamespaces::default()),
        };
        let enricher = Enricher::new(sources, writer).with_hits(&Arc::default());
        let mut site = Self { ring, enricher, events, world, directory };
        while site.ring.written() <= capacity + u64::from(EVENTS) {
            site.round(|_| {});
        }
        site
    }

    /// Decodes, enriches and writes all events, in batches as the agent does; `before` is called for each.
    pub fn round(&mut self, mut before: impl FnMut(&mut abi::Event)) {
        for batch in self.events.chunks_mut(BATCH) {
            self.enricher
                .enrich(black_box(&*batch).iter().filter_map(|event| KernelEvent::try_from(event).ok()));
            for event in batch {
                event.time += u64::from(EVENTS) * 1_000;
                before(event);
            }
        }
    }

    /// Tells each connection between two local pods at its source too, before its delivery; gives how many there are.
    pub fn tell_departures(&mut self) -> usize {
        let local = &self.world.directory.addresses;
        let is_local = |address| local.get(&address).is_some_and(|entry| entry.flow_endpoint.id != 0);
        let before = self.events.len();
        let events = std::mem::take(&mut self.events).into_iter().flat_map(|event| {
            let departure = KernelEvent::try_from(&event).ok().filter(|typed| {
                let is_new = typed.event == Event::Trace(ObservationPoint::ToEndpoint)
                    && typed.state == ConnectionState::New;
                is_new && is_local(typed.source_address)
            });
            let departure = departure.map(|_| abi::Event {
                detail: abi::Point::FromEndpoint.number(),
                direction: abi::Direction::Egress.number(),
                ..event
            });
            departure.into_iter().chain([event])
        });
        self.events = events.collect();
        self.events.len() - before
    }

    /// Replaces a pod in the directory.
    pub fn replace_a_pod(&mut self) {
        self.world.replace_a_pod(self.events[0].time);
        self.directory.store(Arc::new(self.world.directory.clone()));
    }
}
