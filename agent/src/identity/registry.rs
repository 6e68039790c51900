//! Who has which number.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::shared_map::SharedMap;
use palomar_model::world::World;

use super::numbers::{Numbers, UnixSeconds, Updated};
use super::tally::{Tally, Touched};
use super::{Assigned, Exhausted, InternalId, ListedIdentity, PodFacts, PodIdentity, hash, saved};
use crate::durable::{Damaged, Keeper, KeeperStatus};

/// The numbers of this node's view of the cluster, kept in the state directory.
#[derive(Debug)]
pub struct Registry {
    cluster: Arc<str>,
    shown: Numbers<LabelSet>,
    internal: Numbers<PodFacts>,
    keeper: Keeper,
    tally: Tally,
    /// Whether every pod has its numbers, and numbers that no pod has are marked. Not so before the first world.
    is_complete: bool,
    assigned: SharedMap<ObjectName, PodIdentity>,
    /// The internal ids that are given, with what they show as.
    internals: SharedMap<u32, (Identity, LabelSet)>,
    /// Whether one of them shows as unknown.
    shows_unknown: bool,
    /// The internal ids that pods have.
    live: SharedMap<u32, PodFacts>,
}

/// The file with the numbers is there and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the identities in {}; without them live pods might change their numbers", path.display())]
pub struct OpenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Registry {
    /// The numbers as they were kept; none where nothing was.
    ///
    /// A damaged file is moved aside and told, and the generation before is used. If that is damaged too, numbers begin
    /// anew at their hashes: the same ones, except for label sets that clash.
    pub fn open(state_dir: &Path, cluster: Arc<str>) -> Result<(Self, Option<Damaged>), OpenError> {
        let path = state_dir.join("identities.json");
        let loaded = saved::load(&path).map_err(|source| OpenError { path: path.clone(), source })?;
        let (shown, internal) = loaded.value.unwrap_or_else(Self::no_numbers);
        let mut registry = Self {
            cluster,
            shown,
            internal,
            keeper: Keeper::start(&path),
            tally: Tally::default(),
            is_complete: false,
            assigned: SharedMap::new(),
            internals: SharedMap::new(),
            shows_unknown: false,
            live: SharedMap::new(),
        };
        registry.show_all();
        Ok((registry, loaded.damage))
    }

    pub(super) fn no_numbers() -> (Numbers<LabelSet>, Numbers<PodFacts>) {
        (
            Numbers::new(Identity::FIRST_POD, Identity::LAST_POD),
            Numbers::new(InternalId::FIRST, InternalId::LAST),
        )
    }

    /// Gives every pod of the world its numbers, and marks the numbers of the others as unused from `now` on. The cost is
    /// that of what is new in the world, as long as every pod has numbers.
    pub fn update(&mut self, world: &World, now: SystemTime) -> Assigned {
        let now = unix_seconds(now);
        let touched = self.tally.follow(world, &self.cluster);
        let was_complete = self.is_complete;
        let updated = if was_complete { self.give(&touched, now) } else { self.give_all(now) };
        if updated.anything {
            let (shown, internal) = (self.shown.slots().clone(), self.internal.slots().clone());
            self.keeper.put_made_by(move || saved::encode(&shown, &internal));
        }
        if updated.took_back || self.shows_unknown || !was_complete {
            self.show_all();
        } else {
            self.show(&touched);
        }
        if was_complete && self.is_complete {
            self.assign(&touched);
        } else {
            self.assign_all();
        }
        Assigned { pods: self.assigned.clone(), exhausted: self.exhausted() }
    }

    /// From here on it goes as if nothing of the world were known: the next update is made of all of it.
    #[cfg(test)]
    pub(super) fn forget_progress(&mut self) {
        (self.is_complete, self.tally) = (false, Tally::default());
    }

    /// Numbers for what is new, where all else has its own.
    fn give(&mut self, touched: &Touched, now: UnixSeconds) -> Updated {
        // In the order of the label sets, so that nodes which see the same pods resolve clashes alike.
        let shown = self.shown.change(&touched.labels_come, &touched.labels_gone, start_of_identity, now);
        let is_known = |facts: &&PodFacts| self.is_shown(facts);
        let come: BTreeSet<PodFacts> = touched.facts_come.iter().filter(is_known).cloned().collect();
        let internal = self.internal.change(&come, &touched.facts_gone, start_of_internal, now);
        self.is_complete = touched.facts_come.iter().all(|facts| self.internal.number(facts).is_some());
        shown.and(internal)
    }

    /// Numbers for everything in the world.
    fn give_all(&mut self, now: UnixSeconds) -> Updated {
        let labels = self.tally.all_labels().cloned().collect();
        let shown = self.shown.update(&labels, start_of_identity, now);
        let facts = self.tally.facts().map(|(facts, _)| facts).filter(|facts| self.is_shown(facts));
        let facts: BTreeSet<PodFacts> = facts.cloned().collect();
        let internal = self.internal.update(&facts, start_of_internal, now);
        self.is_complete = self.tally.facts().all(|(facts, _)| self.internal.number(facts).is_some());
        shown.and(internal)
    }

    fn is_shown(&self, facts: &PodFacts) -> bool {
        self.tally.labels(facts).is_some_and(|labels| self.shown.number(labels).is_some())
    }

    fn show(&mut self, touched: &Touched) {
        let number = |facts: &PodFacts| self.internal.number(facts);
        let gone: Vec<u32> = touched.facts_gone.iter().filter_map(number).collect();
        let come: Vec<_> =
            touched.facts_come.iter().filter_map(|facts| Some((number(facts)?, facts.clone()))).collect();
        for id in gone {
            self.live.remove(&id);
        }
        for (id, facts) in come {
            self.internals.insert(id, self.shown_as(&facts));
            self.live.insert(id, facts);
        }
    }

    fn show_all(&mut self) {
        self.internals = self.internal.iter().map(|(id, slot)| (id, self.shown_as(&slot.key))).collect();
        self.shows_unknown = self.internals.values().any(|(identity, _)| *identity == Identity::UNKNOWN);
        let live = self.internal.iter().filter(|(_, slot)| slot.unused_since.is_none());
        self.live = live.map(|(id, slot)| (id, slot.key.clone())).collect();
    }

    fn assign(&mut self, touched: &Touched) {
        for name in &touched.pods {
            match self.tally.pod(name) {
                Some(facts) => drop(self.assigned.insert(name.clone(), self.identity(facts))),
                None => drop(self.assigned.remove(name)),
            }
        }
    }

    fn assign_all(&mut self) {
        let given = self.tally.pods().filter_map(|name| Some((name, self.tally.pod(name)?)));
        let given: BTreeMap<&ObjectName, PodIdentity> =
            given.map(|(name, facts)| (name, self.identity(facts))).collect();
        self.assigned = given.into_iter().map(|(name, given)| (name.clone(), given)).collect();
    }

    fn identity(&self, facts: &PodFacts) -> PodIdentity {
        let labels = self.tally.labels(facts);
        let given = labels.and_then(|labels| {
            let (shown, internal) = self.shown.number(labels).zip(self.internal.number(facts))?;
            let (internal, identity) = (InternalId(internal), Identity(shown));
            Some(PodIdentity { internal, identity, labels: labels.clone() })
        });
        given.unwrap_or_else(unknown_pod)
    }

    fn exhausted(&self) -> Option<Exhausted> {
        if self.is_complete {
            return None;
        }
        let unknown = self.assigned.iter().filter(|(_, given)| given.internal == InternalId::UNKNOWN);
        let pods: Vec<ObjectName> = unknown.map(|(name, _)| name.clone()).collect();
        (!pods.is_empty()).then_some(Exhausted { pods })
    }

    /// What a number stands for, reserved ones included; `None` for a number that is not given. Identities of CIDRs
    /// are not here: see [`super::cidr_identity`].
    pub fn labels(&self, identity: Identity) -> Option<LabelSet> {
        identity.reserved_labels().or_else(|| Some(self.shown.slot(identity.0)?.key.clone()))
    }

    /// All identities: the reserved ones, then those of pods, in the order of their numbers. Those that no pod has any
    /// more are listed until their numbers are given away.
    pub fn list(&self) -> Vec<ListedIdentity> {
        let reserved = Identity::all_reserved().filter_map(|(identity, _)| {
            Some(ListedIdentity { identity, labels: identity.reserved_labels()?, is_used: true })
        });
        let pods = self.shown.iter().map(|(number, slot)| ListedIdentity {
            identity: Identity(number),
            labels: slot.key.clone(),
            is_used: slot.unused_since.is_none(),
        });
        reserved.chain(pods).collect()
    }

    /// What an internal id shows as; `None` for one that is not given. An id that no pod has any more may show as
    /// unknown, once the number it showed as has been given away.
    pub fn internal(&self, id: InternalId) -> Option<(Identity, LabelSet)> {
        let facts = &self.internal.slot(id.0)?.key;
        Some(self.shown_as(facts))
    }

    /// Every internal id that is given, with what it shows as.
    pub const fn internals(&self) -> &SharedMap<u32, (Identity, LabelSet)> {
        &self.internals
    }

    /// The internal ids that pods have, with everything that policies may ask of them.
    pub const fn live(&self) -> &SharedMap<u32, PodFacts> {
        &self.live
    }

    /// How keeping the numbers on disk goes.
    pub fn keeping(&self) -> KeeperStatus {
        self.keeper.status()
    }

    /// Waits until the numbers are on disk, at most this long; whether they are.
    pub fn flush(&self, longest: Duration) -> bool {
        self.keeper.flush(longest)
    }

    fn shown_as(&self, facts: &PodFacts) -> (Identity, LabelSet) {
        let labels = facts.identity_labels(&self.cluster);
        match self.shown.number(&labels) {
            Some(number) => (Identity(number), labels),
            None => (Identity::UNKNOWN, unknown_pod().labels),
        }
    }
}

fn unknown_pod() -> PodIdentity {
    let labels = Identity::UNKNOWN.reserved_labels().unwrap_or_else(|| LabelSet::new(Vec::new()));
    PodIdentity { internal: InternalId::UNKNOWN, identity: Identity::UNKNOWN, labels }
}

pub(super) fn start_of_identity(labels: &LabelSet) -> u32 {
    hash::start(labels.to_strings(), Identity::FIRST_POD, Identity::LAST_POD)
}

pub(super) fn start_of_internal(facts: &PodFacts) -> u32 {
    let PodFacts { namespace, namespace_labels, service_account, pod_labels, named_ports } = facts;
    // The empty text stands between the lists; no label key and no port's name is empty.
    let pairs = |labels: &BTreeMap<String, String>| {
        labels.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect::<Vec<_>>()
    };
    let names = [namespace.to_string(), service_account.to_string()];
    let ports = named_ports
        .iter()
        .flat_map(|port| [port.name.clone(), port.protocol.to_string(), port.number.to_string()]);
    // Without ports nothing is added: numbers are what they were before ports had a part in them.
    let before_ports = (!named_ports.is_empty()).then(String::new);
    let texts = names
        .into_iter()
        .chain(pairs(namespace_labels))
        .chain([String::new()])
        .chain(pairs(pod_labels))
        .chain(before_ports)
        .chain(ports);
    hash::start(texts, InternalId::FIRST, InternalId::LAST)
}

fn unix_seconds(time: SystemTime) -> UnixSeconds {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
