//! What the chosen metrics tell of an end of a flow, found once for each end.

mod facts;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use facts::{EndFacts, Wanted};
use palomar_flow::view::Side;
use palomar_model::flow::FlowEndpoint;
use palomar_model::identity::Identity;

use super::selection::Selection;
use crate::ring::{EndpointId, Names};

/// What is remembered at most of each kind: it only saves time, and is forgotten beyond.
const MAX_REMEMBERED: usize = 65_536;

/// Stands for all ends of a side of which the same is told. Good until [`Ends::forget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndNumber(pub u32);

/// What the shape of a flow depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether it is the node itself.
    pub is_host: bool,
    /// Whether it is outside the cluster.
    pub is_world: bool,
    /// Whether it is a local endpoint.
    pub at_endpoint: bool,
}

/// The ends of one side of flows.
#[derive(Debug)]
pub struct Ends {
    wanted: Wanted,
    /// By the index of the end in the ring's names.
    known: Vec<Option<Known>>,
    by_address: HashMap<(usize, IpAddr), EndNumber>,
    numbers: HashMap<Arc<EndFacts>, EndNumber>,
    facts: Vec<Arc<EndFacts>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    traits: Traits,
    /// `None` where it depends on the address as well.
    number: Option<EndNumber>,
}

// === impl Ends ===

impl Ends {
    /// No ends of a side yet.
    pub fn new(selection: &Selection, side: Side) -> Self {
        Self {
            wanted: Wanted::of(selection, side),
            known: Vec::new(),
            by_address: HashMap::new(),
            numbers: HashMap::new(),
            facts: Vec::new(),
        }
    }

    /// The end of a flow.
    pub fn find(&mut self, id: EndpointId, address: IpAddr, names: &Names) -> (EndNumber, Traits) {
        let index = id.index();
        let known = match self.known.get(index) {
            Some(Some(known)) => *known,
            _ => self.learn(id, names),
        };
        let number = known.number.unwrap_or_else(|| self.by_address(id, address, names));
        (number, known.traits)
    }

    /// What is told of an end.
    pub fn facts(&self, number: EndNumber) -> &Arc<EndFacts> {
        let index = usize::try_from(number.0).expect("invariant: usize has at least 32 bits");
        &self.facts[index]
    }

    /// Forgets what was learnt by the ring's numbers, which may mean something else now.
    pub fn forget_ids(&mut self) {
        self.known.clear();
        self.by_address.clear();
    }

    /// Whether so much is remembered that it should be forgotten.
    pub fn is_full(&self) -> bool {
        self.by_address.len() >= MAX_REMEMBERED || self.facts.len() >= MAX_REMEMBERED
    }

    /// Forgets everything, the numbers that were given out included.
    pub fn forget(&mut self) {
        let Self { wanted: _, known, by_address, numbers, facts } = self;
        known.clear();
        by_address.clear();
        numbers.clear();
        facts.clear();
    }

    fn learn(&mut self, id: EndpointId, names: &Names) -> Known {
        let endpoint = names.endpoint(id);
        let facts = EndFacts::new(endpoint, None, &self.wanted);
        let number = (!self.wanted.needs_address(&facts)).then(|| self.number(facts));
        let known = Known { traits: Traits::of(endpoint), number };
        let index = id.index();
        if self.known.len() <= index {
            self.known.resize(index + 1, None);
        }
        self.known[index] = Some(known);
        known
    }

    fn by_address(&mut self, id: EndpointId, address: IpAddr, names: &Names) -> EndNumber {
        if let Some(number) = self.by_address.get(&(id.index(), address)) {
            return *number;
        }
        let number = self.number(EndFacts::new(names.endpoint(id), Some(address), &self.wanted));
        self.by_address.insert((id.index(), address), number);
        number
    }

    fn number(&mut self, told: EndFacts) -> EndNumber {
        let Self { numbers, facts, .. } = self;
        *numbers.entry(Arc::new(told)).or_insert_with_key(|told| {
            let number = u32::try_from(facts.len()).expect("invariant: far fewer ends are remembered");
            facts.push(Arc::clone(told));
            EndNumber(number)
        })
    }
}

// === impl Traits ===

impl Traits {
    fn of(endpoint: &FlowEndpoint) -> Self {
        let is_world = |key: &str| matches!(key, "world" | "world-ipv4" | "world-ipv6");
        Self {
            is_host: endpoint.identity == Identity::HOST,
            is_world: endpoint.labels.iter().any(|label| label.source == "reserved" && is_world(&label.key)),
            at_endpoint: endpoint.id != 0,
        }
    }
}
