//! Everything that a scrape tells, in one place.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::exposition::{Exposition, Format};
use super::flow_metrics::FlowMetrics;
use super::follower::Follower;
use super::process::Process;
use super::requests::Requests;
use super::stages;
use crate::directory::Directory;
use crate::losses::Losses;
use crate::ring::Ring;

/// Tells metrics of its own. Asked for each scrape, on the thread that counts flows: must not block.
pub trait Collector: Send + Sync {
    /// Writes whole families, under names that nobody else uses.
    fn collect(&self, out: &mut Exposition);
}

/// Where metrics come from.
pub struct Sources {
    /// The flows.
    pub ring: Arc<Ring>,
    /// The sequence number of the first flow that counts.
    pub first: u64,
    /// What was lost.
    pub losses: Arc<Losses>,
    /// The newest directory: which pods there are.
    pub directory: Arc<ArcSwap<Directory>>,
    /// Who else tells metrics.
    pub collectors: Vec<Arc<dyn Collector>>,
}

/// Counts flows and tells metrics.
pub struct Exporter {
    ring: Arc<Ring>,
    losses: Arc<Losses>,
    directory: Arc<ArcSwap<Directory>>,
    collectors: Vec<Arc<dyn Collector>>,
    process: Process,
    follower: Mutex<Follower>,
    requests: Mutex<Requests>,
}

// === impl Exporter ===

impl Exporter {
    /// An exporter that counts with these counters.
    pub fn new(sources: Sources, flows: FlowMetrics) -> Self {
        let Sources { ring, first, losses, directory, collectors } = sources;
        let follower = Follower::new(Arc::clone(&ring), flows, first);
        Self {
            ring,
            losses,
            directory,
            collectors,
            process: Process::this(),
            follower: Mutex::new(follower),
            requests: Mutex::default(),
        }
    }

    /// Counts flows as they come, for ever.
    pub async fn follow(&self) {
        let nap = self.follower().nap();
        loop {
            self.follower().catch_up();
            let next = self.follower().next();
            self.ring.wait_for(next).await;
            // one wake-up for many flows
            tokio::time::sleep(nap).await;
        }
    }

    /// Removes the series of pods that have been gone for a minute.
    pub fn forget_gone(&self, now: Instant) {
        let directory = self.directory.load();
        self.follower().forget_gone(|pod| directory.pods.contains_key(pod), now);
    }

    /// The answer to a scrape. All flows that are in the ring now are counted in it.
    pub fn expose(&self, format: Format) -> String {
        let mut out = Exposition::new(format);
        {
            let mut follower = self.follower();
            follower.catch_up();
            follower.expose(&mut out);
        }
        stages::expose(&self.ring, &self.losses, &mut out);
        for collector in &self.collectors {
            collector.collect(&mut out);
        }
        self.process.expose(&mut out);
        self.requests().expose(&mut out);
        out.finish()
    }

    /// Says that a request was answered.
    pub fn answered(&self, code: u16, took: Duration) {
        self.requests().add(code, took);
    }

    fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock().expect("invariant: nothing panics while it holds the counters")
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().expect("invariant: nothing panics while it holds the counts of requests")
    }
}
