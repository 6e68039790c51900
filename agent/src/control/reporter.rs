//! Tells the agent's events as the control path's facts change.

use std::collections::BTreeMap;
use std::sync::Arc;

use palomar_model::labels::LabelSet;

use super::changes::changes;
use super::facts::{AttachState, EndpointFacts, Facts};
use crate::directory::Directory;
use crate::events::{AgentEvent, AgentEvents, Regeneration};

/// Compares what is with what was told last.
#[derive(Debug)]
pub struct Reporter {
    events: Arc<AgentEvents>,
    directory: Arc<Directory>,
    endpoints: BTreeMap<u32, Outcome>,
}

/// What came of an endpoint's newest policy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// This revision is in force.
    Holds(u32),
    /// It is not, for this reason.
    Failed(String),
}

// === impl Reporter ===

impl Reporter {
    /// Nothing was told yet but the empty directory.
    pub fn new(events: Arc<AgentEvents>, directory: Arc<Directory>) -> Self {
        Self { events, directory, endpoints: BTreeMap::new() }
    }

    /// Tells what is new in these facts, as of now. `revision` is the newest one in the kernel.
    pub fn tell(&mut self, facts: &Facts, revision: u32, now_ns: i64) {
        let mut events = Vec::new();
        if !Arc::ptr_eq(&facts.directory, &self.directory) {
            events = changes(&self.directory, &facts.directory, revision);
            for event in &events {
                if let AgentEvent::EndpointDeleted(gone) = event {
                    self.endpoints.remove(&gone.id);
                }
            }
            self.directory = Arc::clone(&facts.directory);
        }
        for (id, endpoint) in &*facts.endpoints {
            let Some(outcome) = outcome(endpoint, facts.failure.as_deref()) else { continue };
            if self.endpoints.get(id) == Some(&outcome) {
                continue;
            }
            let Some(labels) = self.labels(*id) else { continue };
            self.endpoints.insert(*id, outcome.clone());
            let error = match outcome {
                Outcome::Holds(_) => None,
                Outcome::Failed(error) => Some(error),
            };
            events.push(AgentEvent::Regenerated(Regeneration { id: *id, labels, error }));
        }
        if !events.is_empty() {
            self.events.tell(now_ns, events);
        }
    }

    /// `None` for an interface that is no pod's.
    fn labels(&self, id: u32) -> Option<LabelSet> {
        let entry = self.directory.endpoints.get(&id)?.pod.as_ref()?;
        Some(entry.flow_endpoint.labels.clone())
    }
}

/// `None` while nothing has come of it.
fn outcome(endpoint: &EndpointFacts, failure: Option<&str>) -> Option<Outcome> {
    match (&endpoint.attach, failure) {
        (AttachState::Failed(error), _) => Some(Outcome::Failed(error.clone())),
        (_, Some(error)) => Some(Outcome::Failed(error.to_owned())),
        (AttachState::Attached { .. }, None) => Some(Outcome::Holds(endpoint.revision)),
        (AttachState::Pending, None) => None,
    }
}
