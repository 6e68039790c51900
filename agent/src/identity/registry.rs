//! Who has which number.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palomar_model::identity::Identity;
use palomar_model::labels::LabelSet;
use palomar_model::object::ObjectName;
use palomar_model::world::World;

use super::numbers::{Numbers, UnixSeconds};
use super::{Assigned, Exhausted, InternalId, ListedIdentity, PodFacts, PodIdentity, hash, saved};
use crate::durable::{Damaged, Keeper, KeeperStatus};

/// The numbers of this node's view of the cluster, kept in the state directory.
#[derive(Debug)]
pub struct Registry {
    cluster: Arc<str>,
    shown: Numbers<LabelSet>,
    internal: Numbers<PodFacts>,
    keeper: Keeper,
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
        Ok((Self { cluster, shown, internal, keeper: Keeper::start(&path) }, loaded.damage))
    }

    pub(super) fn no_numbers() -> (Numbers<LabelSet>, Numbers<PodFacts>) {
        (
            Numbers::new(Identity::FIRST_POD, Identity::LAST_POD),
            Numbers::new(InternalId::FIRST, InternalId::LAST),
        )
    }

    /// Gives every pod of the world its numbers, and marks the numbers of the others as unused from `now` on.
    pub fn update(&mut self, world: &World, now: SystemTime) -> Assigned {
        let now = unix_seconds(now);
        let pods = world.pods.values().filter(|pod| !pod.host_network);
        let pods: Vec<(&ObjectName, PodFacts)> =
            pods.map(|pod| (&pod.name, PodFacts::of(pod, world))).collect();
        let labels: BTreeMap<&PodFacts, LabelSet> =
            pods.iter().map(|(_, facts)| (facts, facts.identity_labels(&self.cluster))).collect();

        // In the order of the label sets, so that nodes which see the same pods resolve clashes alike.
        let used = labels.values().cloned().collect();
        let mut has_changed = self.shown.update(&used, start_of_identity, now);
        let known = labels.iter().filter(|(_, labels)| self.shown.number(labels).is_some());
        let known: BTreeSet<PodFacts> = known.map(|(facts, _)| (*facts).clone()).collect();
        has_changed |= self.internal.update(&known, start_of_internal, now);
        if has_changed {
            self.keeper.put(saved::encode(&self.shown, &self.internal));
        }

        let mut assigned = Assigned::default();
        let mut unknown = Vec::new();
        for (name, facts) in &pods {
            let labels = &labels[facts];
            let numbers = self.shown.number(labels).zip(self.internal.number(facts));
            let identity = numbers.map_or_else(unknown_pod, |(shown, internal)| PodIdentity {
                internal: InternalId(internal),
                identity: Identity(shown),
                labels: labels.clone(),
            });
            if numbers.is_none() {
                unknown.push((*name).clone());
            }
            assigned.pods.insert((*name).clone(), identity);
        }
        assigned.exhausted = (!unknown.is_empty()).then_some(Exhausted { pods: unknown });
        assigned
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

    /// Every internal id that is given, with what it shows as and what it stands for.
    pub fn internals(&self) -> HashMap<u32, (Identity, LabelSet)> {
        self.internal.iter().map(|(id, slot)| (id, self.shown_as(&slot.key))).collect()
    }

    /// The internal ids that pods have, with everything that policies may ask of them.
    pub fn live(&self) -> impl Iterator<Item = (InternalId, &PodFacts)> {
        let live = self.internal.iter().filter(|(_, slot)| slot.unused_since.is_none());
        live.map(|(id, slot)| (InternalId(id), &slot.key))
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
