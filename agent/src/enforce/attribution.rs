//! Who decided, by the numbers that events carry.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palomar_model::attribution::PolicyRef;
use palomar_model::verdict::Direction;

/// The policies behind rule set numbers and policy set numbers. Numbers never change their meaning, so an event of
/// a moment ago is explained by what was in force then.
#[derive(Debug, Clone, Default)]
pub struct AttributionTable {
    /// Rule set → the policies whose rules allow, sorted.
    pub allowing: HashMap<u32, Arc<[PolicyRef]>>,
    /// Policy set → the policies that isolate ingress, and those that isolate egress; sorted.
    pub isolating: HashMap<u32, [Arc<[PolicyRef]>; 2]>,
}

impl AttributionTable {
    /// The policies whose rules are in a rule set; `None` for a number that is not known.
    pub fn allowing(&self, rule_set: u32) -> Option<&Arc<[PolicyRef]>> {
        self.allowing.get(&rule_set)
    }

    /// The policies of a policy set that isolate a direction; `None` for a number that is not known.
    pub fn isolating(&self, set: u32, direction: Direction) -> Option<&Arc<[PolicyRef]>> {
        let [ingress, egress] = self.isolating.get(&set)?;
        Some(match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        })
    }
}

/// The newest table, shared between the control path, which replaces it, and the event path, which reads it.
#[derive(Debug, Clone, Default)]
pub struct SharedAttributions(Arc<ArcSwap<AttributionTable>>);

impl SharedAttributions {
    /// The newest table.
    pub fn load(&self) -> Arc<AttributionTable> {
        self.0.load_full()
    }

    pub(super) fn store(&self, table: AttributionTable) {
        self.0.store(Arc::new(table));
    }
}
