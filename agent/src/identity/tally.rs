//! Which pods of the world are what, counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::world::World;

use super::PodFacts;

/// What the pods of a world are, host-network pods left out.
#[derive(Debug, Default)]
pub(super) struct Tally {
    world: World,
    pods: HashMap<ObjectName, Arc<PodFacts>>,
    facts: HashMap<Arc<PodFacts>, Counted>,
    /// How many facts show as these labels.
    labels: HashMap<LabelSet, usize>,
}

/// Facts that pods have.
#[derive(Debug)]
struct Counted {
    pods: usize,
    labels: LabelSet,
}

/// What is different in the next world.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Pods that came, went, or are something else.
    pub(super) pods: BTreeSet<ObjectName>,
    /// Facts that no pod had.
    pub(super) facts_come: BTreeSet<PodFacts>,
    /// Facts that no pod has any more.
    pub(super) facts_gone: Vec<PodFacts>,
    /// Labels that no facts showed as.
    pub(super) labels_come: BTreeSet<LabelSet>,
    /// Labels that no facts show as any more.
    pub(super) labels_gone: Vec<LabelSet>,
}

// === impl Tally ===

impl Tally {
    /// Goes on to this world.
    pub(super) fn follow(&mut self, world: &World, cluster: &str) -> Touched {
        let before = std::mem::replace(&mut self.world, world.clone());
        let mut touched = Touched::default();
        // whether anybody had them before
        let (mut facts, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for name in suspects(&before, world) {
            let pod = world.pods.get(&name).filter(|pod| !pod.host_network);
            let new = pod.map(|pod| PodFacts::of(pod, world));
            let old = self.pods.get(&name);
            if old.map(AsRef::as_ref) == new.as_ref() {
                continue;
            }
            if let Some(old) = self.pods.remove(&name) {
                facts.entry(PodFacts::clone(&old)).or_insert(true);
                labels.entry(self.facts[&old].labels.clone()).or_insert(true);
                self.leave(&old);
            }
            if let Some(new) = new {
                let shown = match self.facts.get(&new) {
                    Some(counted) => counted.labels.clone(),
                    None => new.identity_labels(cluster),
                };
                facts.entry(new.clone()).or_insert_with(|| self.facts.contains_key(&new));
                labels.entry(shown.clone()).or_insert_with(|| self.labels.contains_key(&shown));
                let new = self.join(new, shown);
                self.pods.insert(name.clone(), new);
            }
            touched.pods.insert(name);
        }
        for (facts, was_there) in facts {
            match (was_there, self.facts.contains_key(&facts)) {
                (false, true) => drop(touched.facts_come.insert(facts)),
                (true, false) => touched.facts_gone.push(facts),
                _ => {}
            }
        }
        for (labels, was_there) in labels {
            match (was_there, self.labels.contains_key(&labels)) {
                (false, true) => drop(touched.labels_come.insert(labels)),
                (true, false) => touched.labels_gone.push(labels),
                _ => {}
            }
        }
        touched
    }

    fn leave(&mut self, facts: &Arc<PodFacts>) {
        let Some(counted) = self.facts.get_mut(facts) else { return };
        counted.pods -= 1;
        if counted.pods > 0 {
            return;
        }
        if let Some(Counted { labels, .. }) = self.facts.remove(facts)
            && let Some(count) = self.labels.get_mut(&labels)
        {
            *count -= 1;
            if *count == 0 {
                self.labels.remove(&labels);
            }
        }
    }

    /// Gives the facts as all that have them share them.
    fn join(&mut self, facts: PodFacts, labels: LabelSet) -> Arc<PodFacts> {
        if let Some((shared, _)) = self.facts.get_key_value(&facts) {
            let shared = Arc::clone(shared);
            if let Some(counted) = self.facts.get_mut(&shared) {
                counted.pods += 1;
            }
            return shared;
        }
        let shared = Arc::new(facts);
        *self.labels.entry(labels.clone()).or_default() += 1;
        self.facts.insert(Arc::clone(&shared), Counted { pods: 1, labels });
        shared
    }

    /// What a pod is; `None` for a host-network pod and one that is not there.
    pub(super) fn pod(&self, name: &ObjectName) -> Option<&Arc<PodFacts>> {
        self.pods.get(name)
    }

    /// Every pod that has facts.
    pub(super) fn pods(&self) -> impl Iterator<Item = &ObjectName> {
        self.pods.keys()
    }

    /// All facts that pods have, with the labels that they show as.
    pub(super) fn facts(&self) -> impl Iterator<Item = (&PodFacts, &LabelSet)> {
        self.facts.iter().map(|(facts, counted)| (&**facts, &counted.labels))
    }

    /// The labels that facts show as; `None` for facts that no pod has.
    pub(super) fn labels(&self, facts: &PodFacts) -> Option<&LabelSet> {
        self.facts.get(facts).map(|counted| &counted.labels)
    }

    /// All labels that facts show as.
    pub(super) fn all_labels(&self) -> impl Iterator<Item = &LabelSet> {
        self.labels.keys()
    }
}

/// The pods that may be something else: those that changed, and those whose namespace did.
fn suspects(before: &World, after: &World) -> BTreeSet<ObjectName> {
    let changed = before.pods.changes(&after.pods);
    let mut names: BTreeSet<ObjectName> = changed.into_iter().map(|change| change.key.clone()).collect();
    for change in before.namespaces.changes(&after.namespaces) {
        let pods = after.pods.starting_at(&ObjectName::new(change.key, ""));
        let of_namespace = pods.map(|(name, _)| name).take_while(|name| name.namespace == *change.key);
        names.extend(of_namespace.cloned());
    }
    names
}
