//! Which namespaces were seen in flows of the last hour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use palomar_model::flow::FlowEndpoint;

use crate::ring::{BATCH, Ring, TimeWindow};

/// How long a namespace is told after its last flow, in nanoseconds.
const KEEP_NS: i64 = 3_600_000_000_000;
/// An end that was told so recently is not told again.
const REFRESH_NS: i64 = 10_000_000_000;
/// Namespaces that are kept at most; more are not counted.
const MAX_NAMESPACES: usize = 65_536;

/// A namespace of a cluster; sorts by cluster, then namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespaceKey {
    /// The name of the cluster.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
}

/// The namespaces with the time of their last flow: written by the enricher, read by the API.
#[derive(Debug, Default)]
pub struct SeenNamespaces {
    seen: Mutex<Seen>,
}

/// By cluster and namespace: when the last flow was.
#[derive(Debug, Default)]
struct Seen {
    clusters: BTreeMap<String, BTreeMap<String, i64>>,
    count: usize,
}

/// The side of whoever writes the ring: asks for the lock once in a while for each end.
#[derive(Debug)]
pub struct NamespaceWriter {
    shared: Arc<SeenNamespaces>,
    /// By the end's index in the ring's names: when it was last told.
    told_at_ns: Vec<i64>,
}

// === impl SeenNamespaces ===

impl SeenNamespaces {
    /// Those seen within the hour before `now_ns` (wall clock), sorted.
    pub fn list(&self, now_ns: i64) -> Vec<NamespaceKey> {
        let mut seen = self.lock();
        seen.forget(now_ns);
        let key = |cluster: &String, namespace: &String| NamespaceKey {
            cluster: cluster.clone(),
            namespace: namespace.clone(),
        };
        let clusters = seen.clusters.iter();
        clusters
            .flat_map(|(cluster, seen)| seen.keys().map(move |namespace| key(cluster, namespace)))
            .collect()
    }

    /// Learns the namespaces of the flows that a ring holds of the hour before `now_ns`: those of an earlier agent.
    pub fn learn(self: &Arc<Self>, ring: &Ring, now_ns: i64) {
        let window = TimeWindow { since_ns: now_ns.saturating_sub(KEEP_NS), until_ns: i64::MAX };
        let mut writer = NamespaceWriter::new(Arc::clone(self));
        let (mut at, end) = (ring.oldest(), ring.written());
        let mut records = Vec::with_capacity(BATCH);
        while at < end {
            let batch = ring.read(ring.skip_to(at..end, window)..end, &mut records);
            for record in &records {
                for id in [record.source, record.destination] {
                    writer.see(id.index(), batch.names.endpoint(id), record.time_ns);
                }
            }
            at = batch.first + records.len() as u64;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("invariant: nothing panics while it holds the namespaces")
    }

    fn see(&self, endpoint: &FlowEndpoint, time_ns: i64) {
        if let Some(pod) = &endpoint.pod {
            self.lock().see(&endpoint.cluster, &pod.namespace, time_ns);
        }
    }
}

// === impl Seen ===

impl Seen {
    fn see(&mut self, cluster: &str, namespace: &str, time_ns: i64) {
        let known = self.clusters.get_mut(cluster).and_then(|seen| seen.get_mut(namespace));
        if let Some(at_ns) = known {
            *at_ns = time_ns.max(*at_ns);
            return;
        }
        if self.count >= MAX_NAMESPACES {
            self.forget(time_ns);
        }
        if self.count < MAX_NAMESPACES {
            self.clusters.entry(cluster.to_owned()).or_default().insert(namespace.to_owned(), time_ns);
            self.count += 1;
        }
    }

    /// Forgets those whose last flow was an hour before.
    fn forget(&mut self, now_ns: i64) {
        self.clusters.retain(|_, seen| {
            seen.retain(|_, at_ns| now_ns.saturating_sub(*at_ns) < KEEP_NS);
            !seen.is_empty()
        });
        self.count = self.clusters.values().map(BTreeMap::len).sum();
    }
}

// === impl NamespaceWriter ===

impl NamespaceWriter {
    /// A writer that has told nothing yet.
    pub fn new(shared: Arc<SeenNamespaces>) -> Self {
        Self { shared, told_at_ns: Vec::new() }
    }

    /// Says that a flow had this end, which has this index in the ring's names.
    pub fn see(&mut self, index: usize, endpoint: &FlowEndpoint, time_ns: i64) {
        if self.told_at_ns.len() <= index {
            self.told_at_ns.resize(index + 1, i64::MIN);
        }
        let told_at_ns = &mut self.told_at_ns[index];
        // a clock that was set back asks again as well
        if time_ns.abs_diff(*told_at_ns) >= REFRESH_NS.unsigned_abs() {
            *told_at_ns = time_ns;
            self.shared.see(endpoint, time_ns);
        }
    }

    /// Forgets what was told by index, because indexes may stand for something else now.
    pub fn forget(&mut self) {
        self.told_at_ns.clear();
    }
}
