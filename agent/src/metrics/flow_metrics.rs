//! The counters of flows.
//!
//! What a flow adds to depends on its [`Shape`] and on what is told of its ends. Each such combination is worked out
//! once, from those alone, and remembered by small numbers: a flow costs two look-ups by index and one by hash.

use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _};
use palomar_flow::view::Side;
use palomar_model::object::ObjectName;

use super::ends::{EndFacts, EndNumber, Ends};
use super::exposition::{Exposition, Labels};
use super::sample::{self, OwnLabels, Value};
use super::selection::{ContextLabel, Contexts, Identifier, Selection, SideFact};
use super::series::{Series, Slot};
use super::shape::{Needs, Shape};
use crate::ring::{Names, Record};

/// The value of a label that was folded because its metric has too many series: no name in Kubernetes begins so.
pub const FOLDED: &str = "__other__";
/// Combinations that are remembered at most: more are worked out anew.
const MAX_REMEMBERED: usize = 65_536;
/// Samples that one flow adds to at most: one of each other metric, and three flags of TCP.
const MAX_SAMPLES: usize = 9;

/// The counters of the chosen metrics.
#[derive(Debug)]
pub struct FlowMetrics {
    selection: Selection,
    needs: Needs,
    sources: Ends,
    destinations: Ends,
    /// See [`Names::erasures`].
    erasures: u64,
    remembered: HashMap<Combination, Adds>,
    series: Series,
}

/// What the samples that a flow adds to depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Combination {
    shape: u64,
    source: EndNumber,
    destination: EndNumber,
}

/// The counters that a flow adds one to.
#[derive(Debug, Clone, Copy, Default)]
struct Adds {
    slots: [Slot; MAX_SAMPLES],
    len: u8,
}

/// The two ends of a flow.
#[derive(Debug, Clone, Copy)]
struct BothEnds<'a> {
    source: &'a EndFacts,
    destination: &'a EndFacts,
}

// === impl FlowMetrics ===

impl FlowMetrics {
    /// Counters at zero: at most `max_series` a metric, beside the overflow.
    pub fn new(selection: Selection, max_series: usize) -> Self {
        Self {
            needs: Needs::of(&selection),
            sources: Ends::new(&selection, Side::Source),
            destinations: Ends::new(&selection, Side::Destination),
            erasures: 0,
            remembered: HashMap::new(),
            series: Series::new(selection.iter().count(), max_series),
            selection,
        }
    }

    /// Counts flows, which came with these names.
    pub fn count(&mut self, records: &[Record], names: &Names) {
        if self.erasures != names.erasures() {
            self.erasures = names.erasures();
            self.sources.forget_ids();
            self.destinations.forget_ids();
        }
        if self.sources.is_full() || self.destinations.is_full() {
            self.sources.forget();
            self.destinations.forget();
            self.remembered.clear();
        }
        for record in records {
            let (source, source_traits) = self.sources.find(record.source, record.source_address, names);
            let (destination, destination_traits) =
                self.destinations.find(record.destination, record.destination_address, names);
            let shape = Shape::of(record, source_traits, destination_traits, self.needs);
            let combination = Combination { shape: shape.number(), source, destination };
            let adds = match self.remembered.get(&combination) {
                Some(adds) => *adds,
                None => self.work_out(combination, &shape),
            };
            for slot in adds.slots() {
                self.series.count(*slot);
            }
        }
    }

    /// Removes the series of pods that have been gone for a minute.
    pub fn forget_gone(&mut self, exists: impl Fn(&ObjectName) -> bool, now: Instant) {
        if self.series.forget_gone(exists, now) {
            self.remembered.clear();
        }
    }

    /// Writes all series, and how many there are.
    pub fn expose(&self, out: &mut Exposition) {
        for (at, chosen) in self.selection.iter().enumerate() {
            let mut family = out.counter(chosen.metric.family(), chosen.metric.help());
            for (labels, count) in self.series.of(at) {
                family.sample_of(labels, count);
            }
        }
        if self.selection.is_empty() {
            return;
        }
        let metric_label = |name| Labels::default().with("metric", name);
        let mut family = out.gauge("palomar_metrics_series", "Series of each metric of flows.");
        for (at, chosen) in self.selection.iter().enumerate() {
            family.sample(&metric_label(chosen.metric.name()), self.series.len_of(at));
        }
        let mut family = out.counter(
            "palomar_metrics_overflow",
            "Flows that were counted under folded labels, because their metric has too many series.",
        );
        for (at, chosen) in self.selection.iter().enumerate() {
            family.sample(&metric_label(chosen.metric.name()), self.series.overflowed(at));
        }
    }

    fn work_out(&mut self, combination: Combination, shape: &Shape) -> Adds {
        let Combination { shape: _, source, destination } = combination;
        let ends = BothEnds {
            source: self.sources.facts(source),
            destination: self.destinations.facts(destination),
        };
        let mut adds = Adds::default();
        for (at, chosen) in self.selection.iter().enumerate() {
            for own in chosen.metric.samples(shape) {
                let labels = labels(&own, &chosen.contexts, shape, ends);
                let pods = bound_pods(&chosen.contexts, shape, ends);
                let folded = || fold(&own, &chosen.contexts);
                adds.push(self.series.slot(at, labels, pods, folded));
            }
        }
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(combination, adds);
        adds
    }
}

/// The labels of a sample as text, by name.
fn labels(own: &OwnLabels, contexts: &Contexts, shape: &Shape, ends: BothEnds<'_>) -> Box<str> {
    let mut labels: Vec<(&'static str, String)> = own
        .iter()
        .map(|(name, value)| match value {
            Value::Closed(text) | Value::Open(text) => (*name, text.to_string()),
        })
        .collect();
    for label in &contexts.labels {
        let value = match label {
            ContextLabel::Source(fact) => ends.source.fact(*fact),
            ContextLabel::Destination(fact) => ends.destination.fact(*fact),
            ContextLabel::TrafficDirection => sample::direction(shape.direction),
        };
        labels.push((label.name(), value.to_owned()));
    }
    for side in Side::BOTH {
        let context = contexts.side(side);
        if !context.is_absent() {
            let (name, _) = ends.of(side).first_called(context.list(shape.direction));
            labels.push((side.name(), name.into_owned()));
        }
    }
    text(labels)
}

/// The labels of the sample that stands for all those beyond the bound: what can grow is folded.
fn fold(own: &OwnLabels, contexts: &Contexts) -> Box<str> {
    let own = own.iter().map(|(name, value)| match value {
        Value::Closed(text) => (*name, text.to_string()),
        Value::Open(_) => (*name, FOLDED.to_owned()),
    });
    let given = contexts.labels.iter().map(|label| label.name());
    let sides = Side::BOTH.into_iter().filter(|side| !contexts.side(*side).is_absent()).map(Side::name);
    text(own.chain(given.chain(sides).map(|name| (name, FOLDED.to_owned()))).collect())
}

fn text(mut labels: Vec<(&'static str, String)>) -> Box<str> {
    labels.sort_unstable();
    let mut text = Labels::default();
    for (name, value) in &labels {
        text.push(name, value);
    }
    text.into_text()
}

/// The pods that the labels of a sample name, as Hubble sees it: by the context `pod`, or by namespace and pod in
/// labels of their own.
fn bound_pods(contexts: &Contexts, shape: &Shape, ends: BothEnds<'_>) -> Vec<ObjectName> {
    let is_bound = |side: &Side| {
        let has = |fact| contexts.labels.iter().any(|label| label.fact_of(*side) == Some(fact));
        let (_, called) = ends.of(*side).first_called(contexts.side(*side).list(shape.direction));
        called == Some(Identifier::Pod) || has(SideFact::Pod) && has(SideFact::Namespace)
    };
    Side::BOTH.into_iter().filter(is_bound).filter_map(|side| ends.of(side).pod()).collect()
}

// === impl BothEnds ===

impl<'a> BothEnds<'a> {
    fn of(self, side: Side) -> &'a EndFacts {
        side.of(self.source, self.destination)
    }
}

// === impl Adds ===

impl Adds {
    fn slots(&self) -> &[Slot] {
        &self.slots[..usize::from(self.len)]
    }

    fn push(&mut self, slot: Slot) {
        self.slots[usize::from(self.len)] = slot;
        self.len += 1;
    }
}
