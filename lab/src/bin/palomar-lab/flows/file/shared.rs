//! What repeats from flow to flow is kept once: the ring knows it again by its address.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use palomar_flow::rest::Rest;
use palomar_model::attribution::PolicyRef;
use palomar_model::flow::{Flow, FlowEndpoint};

/// One of each.
#[derive(Debug, Default)]
pub struct Shared {
    endpoints: HashSet<Arc<FlowEndpoint>>,
    names: HashSet<Arc<str>>,
    policies: HashSet<Arc<[PolicyRef]>>,
    rests: HashSet<Arc<Rest>>,
}

// === impl Shared ===

impl Shared {
    pub fn flow(&mut self, mut flow: Flow) -> Arc<Flow> {
        for end in [&mut flow.source, &mut flow.destination] {
            share(&mut self.endpoints, end);
        }
        share(&mut self.names, &mut flow.interface.1);
        share(&mut self.policies, &mut flow.policies);
        Arc::new(flow)
    }

    pub fn rest(&mut self, rest: Rest) -> Arc<Rest> {
        let mut rest = Arc::new(rest);
        share(&mut self.rests, &mut rest);
        rest
    }
}

/// Puts the one that is kept in the place of an equal one.
fn share<T: ?Sized + Eq + Hash>(kept: &mut HashSet<Arc<T>>, value: &mut Arc<T>)
where
    Arc<T>: Borrow<T>,
{
    match kept.get::<T>(value) {
        Some(known) => *value = Arc::clone(known),
        None => drop(kept.insert(Arc::clone(value))),
    }
}
