//! The counters by their labels: bounded in number, and gone with the pods that they speak of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use palomar_model::object::ObjectName;

/// How long the series of a pod stay after the pod has gone, as in Hubble: a scraper is to see the last counts.
const KEEP_GONE: Duration = Duration::from_mins(1);

/// A counter. Good until [`Series::forget_gone`] says that counters were removed.
pub type Slot = u32;

/// The series of all chosen metrics.
#[derive(Debug)]
pub struct Series {
    max: usize,
    metrics: Vec<MetricSeries>,
    counts: Vec<u64>,
    free: Vec<Slot>,
    pods: HashMap<Arc<ObjectName>, PodSeries>,
}

/// The series of one metric, by the text of their labels.
#[derive(Debug, Default)]
struct MetricSeries {
    own: BTreeMap<Box<str>, Entry>,
    /// What is beyond the bound, with the labels that could grow folded. There are few of these, and they stay.
    overflow: BTreeMap<Box<str>, Slot>,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    pods: Vec<Arc<ObjectName>>,
}

/// A pod that series speak of.
#[derive(Debug, Default)]
struct PodSeries {
    series: usize,
    /// Since when it is known to be gone.
    gone_since: Option<Instant>,
}

// === impl Series ===

impl Series {
    /// No series, for so many metrics; at most `max` of each, beside the overflow.
    pub fn new(metrics: usize, max: usize) -> Self {
        Self {
            max,
            metrics: (0..metrics).map(|_| MetricSeries::default()).collect(),
            counts: Vec::new(),
            free: Vec::new(),
            pods: HashMap::new(),
        }
    }

    /// The counter of some labels of a metric, which is removed with one of `pods`. Where the metric has too many,
    /// that of the folded labels.
    pub fn slot(
        &mut self,
        metric: usize,
        labels: Box<str>,
        pods: impl IntoIterator<Item = ObjectName>,
        folded: impl FnOnce() -> Box<str>,
    ) -> Slot {
        let series = &self.metrics[metric];
        if let Some(entry) = series.own.get(&labels) {
            return entry.slot;
        }
        // labels that cannot grow are the same when folded: they stay where they are, so that none is there twice
        if let Some(slot) = series.overflow.get(&labels) {
            return *slot;
        }
        if series.own.len() >= self.max {
            return self.overflow_slot(metric, folded());
        }
        let slot = self.new_slot();
        let pods = pods.into_iter().map(|pod| self.bind(pod)).collect();
        self.metrics[metric].own.insert(labels, Entry { slot, pods });
        slot
    }

    /// Adds one.
    pub fn count(&mut self, slot: Slot) {
        self.counts[index(slot)] += 1;
    }

    /// The series of a metric with their counts, by labels; the overflow comes last.
    pub fn of(&self, metric: usize) -> impl Iterator<Item = (&str, u64)> {
        let MetricSeries { own, overflow } = &self.metrics[metric];
        let own = own.iter().map(|(labels, entry)| (labels, entry.slot));
        let overflow = overflow.iter().map(|(labels, slot)| (labels, *slot));
        own.chain(overflow).map(|(labels, slot)| (&**labels, self.counts[index(slot)]))
    }

    /// How many series a metric has, the overflow included.
    pub fn len_of(&self, metric: usize) -> usize {
        let MetricSeries { own, overflow } = &self.metrics[metric];
        own.len() + overflow.len()
    }

    /// How many flows a metric counted in its overflow.
    pub fn overflowed(&self, metric: usize) -> u64 {
        self.metrics[metric].overflow.values().map(|slot| self.counts[index(*slot)]).sum()
    }

    /// Removes the series of pods that have been gone for a while. True if there were any: slots mean something else
    /// from then on.
    pub fn forget_gone(&mut self, exists: impl Fn(&ObjectName) -> bool, now: Instant) -> bool {
        let mut has_gone = false;
        for (pod, series) in &mut self.pods {
            if exists(pod) {
                series.gone_since = None;
            } else {
                let since = *series.gone_since.get_or_insert(now);
                has_gone |= now.duration_since(since) >= KEEP_GONE;
            }
        }
        if has_gone {
            self.remove_gone(now);
        }
        has_gone
    }

    fn remove_gone(&mut self, now: Instant) {
        let Self { metrics, counts, free, pods, .. } = self;
        let is_gone = |pods: &HashMap<Arc<ObjectName>, PodSeries>, pod: &Arc<ObjectName>| {
            let since = pods.get(pod).and_then(|series| series.gone_since);
            since.is_some_and(|since| now.duration_since(since) >= KEEP_GONE)
        };
        for series in metrics {
            series.own.retain(|_, entry| {
                let stays = !entry.pods.iter().any(|pod| is_gone(pods, pod));
                if !stays {
                    counts[index(entry.slot)] = 0;
                    free.push(entry.slot);
                    for pod in &entry.pods {
                        pods.entry(Arc::clone(pod)).and_modify(|series| series.series -= 1);
                    }
                }
                stays
            });
        }
        pods.retain(|_, series| series.series > 0);
    }

    fn overflow_slot(&mut self, metric: usize, folded: Box<str>) -> Slot {
        if let Some(slot) = self.metrics[metric].overflow.get(&folded) {
            return *slot;
        }
        let slot = self.new_slot();
        self.metrics[metric].overflow.insert(folded, slot);
        slot
    }

    fn new_slot(&mut self) -> Slot {
        self.free.pop().unwrap_or_else(|| {
            self.counts.push(0);
            Slot::try_from(self.counts.len() - 1).expect("invariant: far fewer series are allowed")
        })
    }

    fn bind(&mut self, pod: ObjectName) -> Arc<ObjectName> {
        let known = self.pods.get_key_value(&pod).map(|(known, _)| Arc::clone(known));
        let pod = known.unwrap_or_else(|| Arc::new(pod));
        self.pods.entry(Arc::clone(&pod)).or_default().series += 1;
        pod
    }
}

fn index(slot: Slot) -> usize {
    usize::try_from(slot).expect("invariant: usize has at least 32 bits")
}
