//! Which object comes from which file, and which state of it is in force. No I/O.
//!
//! A file is good, or refused and its objects stay as they were last good. When two files claim an object, the first
//! by name has it and the other's claim is an error; a refused file's last good object gives way to a good file, unless
//! its own text still names the object.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use palomar_manifest::{Manifest, ManifestError, ManifestObject, Object, ObjectKey};
use palomar_model::endpoint_slice::EndpointSlice;
use palomar_model::netpol::NetworkPolicy;
use palomar_model::shared_map::SharedMap;
use palomar_model::world::{Namespace, Node, Pod, Service, World};

use super::folder::Reading;
use super::parse::parse_all;
use super::{Refusal, WrittenObject};

/// All files, by name.
#[derive(Debug, Default)]
pub(super) struct Books {
    files: BTreeMap<String, FileState>,
    /// Who holds each object, by the names of the files.
    holders: HashMap<ObjectKey, Vec<Holder>>,
    /// Objects that more than one file holds.
    contested: BTreeSet<ObjectKey>,
    world: World,
    objects: SharedMap<ObjectKey, WrittenObject>,
    ignored: BTreeMap<String, usize>,
}

/// A file that had an object when it was last good.
#[derive(Debug)]
struct Holder {
    file: Arc<str>,
    entry: Arc<Entry>,
}

/// An object with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: ObjectKey,
    pub(super) line: u32,
    /// As JSON on one line; see [`ManifestObject::source`].
    pub(super) source: Arc<str>,
    object: Shared,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shared {
    Namespace(Arc<Namespace>),
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    NetworkPolicy(Arc<NetworkPolicy>),
}

#[derive(Debug, Default)]
struct FileState {
    /// What it held when it was last good.
    good: Vec<Arc<Entry>>,
    /// What is wrong with it now; empty where it is good.
    errors: Vec<ManifestError>,
    /// What its text names now; of importance only where there are errors.
    named: BTreeSet<ObjectKey>,
    ignored: BTreeMap<String, usize>,
}

/// What an update changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Anything that is in force, or is refused.
    pub(super) anything: bool,
    /// A last good state.
    pub(super) last_good: bool,
}

/// What is in force.
#[derive(Debug, Default, PartialEq)]
pub(super) struct InForce {
    pub(super) world: World,
    /// Every object of the world.
    pub(super) objects: SharedMap<ObjectKey, WrittenObject>,
    pub(super) refused: Vec<Refusal>,
    pub(super) ignored: BTreeMap<String, usize>,
}

// === impl InForce ===

impl InForce {
    /// Whether both are the same but for the places of objects in their files.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let Self { world, objects: _, refused, ignored } = self;
        (world, refused, ignored) == (&other.world, &other.refused, &other.ignored)
    }
}

// === impl Entry ===

impl From<ManifestObject> for Entry {
    fn from(found: ManifestObject) -> Self {
        let ManifestObject { key, object, line, source } = found;
        let object = match object {
            Object::Namespace(namespace) => Shared::Namespace(Arc::new(namespace)),
            Object::Node(node) => Shared::Node(Arc::new(node)),
            Object::Pod(pod) => Shared::Pod(Arc::new(pod)),
            Object::Service(service) => Shared::Service(Arc::new(service)),
            Object::EndpointSlice(slice) => Shared::EndpointSlice(Arc::new(slice)),
            Object::NetworkPolicy(policy) => Shared::NetworkPolicy(Arc::new(policy)),
        };
        Self { key, line, source: source.into(), object }
    }
}

impl Entry {
    fn written(&self, file: &Arc<str>) -> WrittenObject {
        let Self { key, line, source, object: _ } = self;
        WrittenObject { key: key.clone(), file: Arc::clone(file), line: *line, source: Arc::clone(source) }
    }

    fn add_to(&self, world: &mut World) {
        match &self.object {
            Shared::Namespace(namespace) => {
                world.namespaces.insert(namespace.name.clone(), Arc::clone(namespace));
            }
            Shared::Node(node) => {
                world.nodes.insert(node.name.clone(), Arc::clone(node));
            }
            Shared::Pod(pod) => {
                world.pods.insert(pod.name.clone(), Arc::clone(pod));
            }
            Shared::Service(service) => {
                world.services.insert(service.name.clone(), Arc::clone(service));
            }
            Shared::EndpointSlice(slice) => {
                world.endpoint_slices.insert(slice.name.clone(), Arc::clone(slice));
            }
            Shared::NetworkPolicy(policy) => {
                world.policies.insert(policy.name.clone(), Arc::clone(policy));
            }
        }
    }
}

// === impl Books ===

impl Books {
    /// The books as an earlier agent left them: nothing is known of the files' present text.
    pub(super) fn restore(files: impl IntoIterator<Item = (String, Vec<ManifestObject>)>) -> Self {
        let mut books = Self::default();
        let mut keys = BTreeSet::new();
        for (name, objects) in files {
            let good: Vec<Arc<Entry>> = objects.into_iter().map(|object| Arc::new(object.into())).collect();
            books.hold(&name, &good);
            keys.extend(good.iter().map(|entry| entry.key.clone()));
            books.files.insert(name, FileState { good, ..FileState::default() });
        }
        books.settle(&keys);
        books
    }

    /// Whether any file has a last good object.
    pub(super) fn is_empty(&self) -> bool {
        self.files.values().all(|file| file.good.is_empty())
    }

    /// The last good objects of each file that has any.
    pub(super) fn last_good(&self) -> impl Iterator<Item = (&str, &[Arc<Entry>])> {
        let files = self.files.iter().filter(|(_, file)| !file.good.is_empty());
        files.map(|(name, file)| (name.as_str(), file.good.as_slice()))
    }

    /// Takes in what a look at the directory found: `readings` has every file that is there.
    pub(super) fn update(&mut self, readings: BTreeMap<String, Reading>) -> Changed {
        // both are sorted
        let mut there = readings.keys().peekable();
        let is_gone = |name: &&String| {
            while there.next_if(|other| other < name).is_some() {}
            there.peek() != Some(name)
        };
        let gone: Vec<String> = self.files.keys().filter(is_gone).cloned().collect();
        let is_new = |(_, reading): &(String, Reading)| *reading != Reading::Unchanged;
        self.change(readings.into_iter().filter(is_new), gone)
    }

    /// Takes in what is new in some files, and that others are gone; the rest is as it was.
    pub(super) fn change(
        &mut self,
        readings: impl IntoIterator<Item = (String, Reading)>,
        gone: Vec<String>,
    ) -> Changed {
        let mut anything = false;
        let mut leaving = Leaving::default();
        let mut touched = BTreeSet::new();
        for name in gone {
            if let Some(file) = self.files.remove(&name) {
                anything = true;
                self.count(&file.ignored, usize::saturating_sub);
                touched.extend(self.let_go(&name, &file.good));
                leaving.add(file.good);
            }
        }
        let mut newly_refused = Vec::new();
        let readings: Vec<(String, Reading)> = readings.into_iter().collect();
        let manifests = parse_all(&readings);
        for ((name, reading), manifest) in readings.into_iter().zip(manifests) {
            let mut file = self.files.remove(&name).unwrap_or_default();
            self.count(&file.ignored, usize::saturating_sub);
            touched.extend(self.let_go(&name, &file.good));
            match reading {
                Reading::Unchanged => {}
                Reading::Unreadable(reason) => {
                    let errors = vec![whole_file(&name, reason)];
                    anything |= file.errors != errors;
                    file.refuse(errors, BTreeSet::new());
                }
                Reading::Text(text) => {
                    anything = true;
                    let manifest = manifest.expect("invariant: each text was parsed");
                    if manifest.errors.is_empty() && text.trim().is_empty() && !file.good.is_empty() {
                        file.refuse(vec![whole_file(&name, file.why_empty_is_refused())], BTreeSet::new());
                    } else if manifest.errors.is_empty() {
                        leaving.add(file.accept(manifest));
                    } else {
                        file.refuse(manifest.errors, manifest.named);
                        newly_refused.push(name.clone());
                    }
                }
            }
            self.count(&file.ignored, |count, more| count + more);
            touched.extend(file.good.iter().map(|entry| entry.key.clone()));
            self.hold(&name, &file.good);
            self.files.insert(name, file);
        }
        // A file that was renamed and broken in one go: its objects' last good state goes with their names.
        for name in newly_refused {
            let adopted = self.files.get_mut(&name).map(|file| leaving.adopt_into(file)).unwrap_or_default();
            touched.extend(adopted.iter().map(|entry| entry.key.clone()));
            self.hold(&name, &adopted);
        }
        self.settle(&touched);
        Changed { anything, last_good: leaving.has_changed }
    }

    /// What is in force now.
    pub(super) fn in_force(&self) -> InForce {
        InForce {
            world: self.world.clone(),
            objects: self.objects.clone(),
            refused: self.refused(),
            ignored: self.ignored.clone(),
        }
    }

    /// What is in force, found by looking at every file.
    #[cfg(test)]
    pub(super) fn in_force_of_all(&self) -> InForce {
        let mut force = InForce::default();
        let mut objects = SharedMap::new();
        let mut owners: HashMap<&ObjectKey, (&str, u32)> = HashMap::new();
        let mut repeated: BTreeMap<&str, Vec<Refusal>> = BTreeMap::new();
        for (name, file) in &self.files {
            for entry in file.good.iter().filter(|entry| file.claims(&entry.key)) {
                if let Some((owner, line)) = owners.get(&entry.key) {
                    repeated.entry(name).or_default().push(twice(name, entry, owner, *line));
                } else {
                    owners.insert(&entry.key, (name, entry.line));
                    entry.add_to(&mut force.world);
                    objects.insert(entry.key.clone(), entry.written(&name.as_str().into()));
                }
            }
            for (what, count) in &file.ignored {
                *force.ignored.entry(what.clone()).or_default() += count;
            }
        }
        for (name, file) in &self.files {
            for entry in file.good.iter().filter(|entry| !file.claims(&entry.key)) {
                owners.entry(&entry.key).or_insert_with(|| {
                    entry.add_to(&mut force.world);
                    objects.insert(entry.key.clone(), entry.written(&name.as_str().into()));
                    (name, entry.line)
                });
            }
            let in_force = file
                .good
                .iter()
                .filter(|entry| owners.get(&entry.key).is_some_and(|(owner, _)| owner == name));
            let kept: Arc<[ObjectKey]> = in_force.map(|entry| entry.key.clone()).collect();
            let refusal = |error: &ManifestError| Refusal { error: error.clone(), kept: Arc::clone(&kept) };
            force.refused.extend(file.errors.iter().map(refusal));
            // objects of one line were good in texts of different times
            let mut repeated = repeated.remove(name.as_str()).unwrap_or_default();
            repeated.sort_by(|a, b| (a.error.line, &a.error.object).cmp(&(b.error.line, &b.error.object)));
            force.refused.extend(repeated);
        }
        force.objects = objects;
        force
    }

    fn count(&mut self, ignored: &BTreeMap<String, usize>, add: impl Fn(usize, usize) -> usize) {
        for (what, count) in ignored {
            let all = self.ignored.entry(what.clone()).or_default();
            *all = add(*all, *count);
            if *all == 0 {
                self.ignored.remove(what);
            }
        }
    }

    /// Notes that a file holds these objects.
    fn hold(&mut self, name: &str, entries: &[Arc<Entry>]) {
        let file: Arc<str> = name.into();
        for entry in entries {
            let holders = self.holders.entry(entry.key.clone()).or_default();
            let at = holders.partition_point(|holder| *holder.file < *file);
            holders.insert(at, Holder { file: Arc::clone(&file), entry: Arc::clone(entry) });
            if holders.len() > 1 {
                self.contested.insert(entry.key.clone());
            }
        }
    }

    /// Notes that a file does not hold these objects any more; gives their names.
    fn let_go(&mut self, name: &str, entries: &[Arc<Entry>]) -> Vec<ObjectKey> {
        for Entry { key, .. } in entries.iter().map(AsRef::as_ref) {
            let Some(holders) = self.holders.get_mut(key) else { continue };
            holders.retain(|holder| *holder.file != *name);
            if holders.len() < 2 {
                self.contested.remove(key);
            }
            if holders.is_empty() {
                self.holders.remove(key);
            }
        }
        entries.iter().map(|entry| entry.key.clone()).collect()
    }

    /// Whose state of an object is in force: the first file's that asks for it, else the first one's.
    fn owner(&self, key: &ObjectKey) -> Option<&Holder> {
        let holders = self.holders.get(key)?;
        holders.iter().find(|holder| self.claims(holder)).or_else(|| holders.first())
    }

    fn claims(&self, holder: &Holder) -> bool {
        self.files.get(&*holder.file).is_some_and(|file| file.claims(&holder.entry.key))
    }

    /// Brings the state of these objects into force that is due now.
    fn settle(&mut self, keys: &BTreeSet<ObjectKey>) {
        for key in keys {
            let owner =
                self.owner(key).map(|Holder { file, entry }| (entry.written(file), Arc::clone(entry)));
            if let Some((written, entry)) = owner {
                entry.add_to(&mut self.world);
                self.objects.insert(key.clone(), written);
            } else {
                remove(key, &mut self.world);
                self.objects.remove(key);
            }
        }
    }

    fn refused(&self) -> Vec<Refusal> {
        let mut repeated = self.repeated();
        let mut refused = Vec::new();
        for (name, file) in &self.files {
            if !file.errors.is_empty() {
                let is_in_force =
                    |entry: &&Arc<Entry>| self.owner(&entry.key).is_some_and(|owner| *owner.file == **name);
                let in_force = file.good.iter().filter(is_in_force);
                let kept: Arc<[ObjectKey]> = in_force.map(|entry| entry.key.clone()).collect();
                let refusal =
                    |error: &ManifestError| Refusal { error: error.clone(), kept: Arc::clone(&kept) };
                refused.extend(file.errors.iter().map(refusal));
            }
            refused.extend(repeated.remove(name.as_str()).into_iter().flatten().map(|(_, refusal)| refusal));
        }
        refused
    }

    /// What files claim that one before them has: by file, with its line.
    fn repeated(&self) -> BTreeMap<&str, Vec<(u32, Refusal)>> {
        let mut repeated: BTreeMap<&str, Vec<(u32, Refusal)>> = BTreeMap::new();
        for holders in self.contested.iter().filter_map(|key| self.holders.get(key)) {
            let mut claimants = holders.iter().filter(|holder| self.claims(holder));
            let Some(owner) = claimants.next() else { continue };
            for Holder { file, entry } in claimants {
                let refusal = twice(file, entry, &owner.file, owner.entry.line);
                repeated.entry(file).or_default().push((entry.line, refusal));
            }
        }
        for list in repeated.values_mut() {
            list.sort_by_key(|(line, _)| *line);
        }
        repeated
    }
}

fn remove(key: &ObjectKey, world: &mut World) {
    match key {
        ObjectKey::Namespace(name) => drop(world.namespaces.remove(name)),
        ObjectKey::Node(name) => drop(world.nodes.remove(name)),
        ObjectKey::Pod(name) => drop(world.pods.remove(name)),
        ObjectKey::Service(name) => drop(world.services.remove(name)),
        ObjectKey::EndpointSlice(name) => drop(world.endpoint_slices.remove(name)),
        ObjectKey::NetworkPolicy(name) => drop(world.policies.remove(name)),
    }
}

fn whole_file(name: &str, reason: String) -> ManifestError {
    ManifestError { file: name.to_owned(), line: 0, field: String::new(), reason, object: None }
}

fn twice(file: &str, entry: &Entry, owner: &str, line: u32) -> Refusal {
    let reason =
        format!("{} stands in {owner}:{line} already, which comes first and stays in force", entry.key);
    let error = ManifestError {
        file: file.to_owned(),
        line: entry.line,
        field: "metadata.name".to_owned(),
        reason,
        object: Some(entry.key.clone()),
    };
    Refusal { error, kept: Arc::default() }
}

// === impl FileState ===

impl FileState {
    /// Whether its present text asks for this object of its last good ones.
    fn claims(&self, key: &ObjectKey) -> bool {
        self.errors.is_empty() || self.named.contains(key)
    }

    /// Takes a good text; gives what it held before, to be looked at for changes.
    fn accept(&mut self, manifest: Manifest) -> Vec<Arc<Entry>> {
        let Manifest { objects, errors: _, ignored, named: _ } = manifest;
        // An unchanged object stays the same value in memory, so that snapshots share it.
        let before: HashMap<&ObjectKey, &Arc<Entry>> =
            self.good.iter().map(|entry| (&entry.key, entry)).collect();
        let good = objects.into_iter().map(|object| {
            let mut new = Entry::from(object);
            if let Some(old) = before.get(&new.key).filter(|old| old.object == new.object) {
                new.object = old.object.clone();
            }
            Arc::new(new)
        });
        let good = good.collect();
        self.errors.clear();
        self.named.clear();
        self.ignored = ignored;
        std::mem::replace(&mut self.good, good)
    }

    fn refuse(&mut self, errors: Vec<ManifestError>, named: BTreeSet<ObjectKey>) {
        self.errors = errors;
        self.named = named;
        self.ignored.clear();
    }

    /// Truncating a file is how many programs begin to write it, and all that they do on a full disk.
    fn why_empty_is_refused(&self) -> String {
        let count = self.good.len();
        format!(
            "is empty, and held objects before ({count}); delete the file, or leave a comment in it, to remove them"
        )
    }
}

/// Last good objects that their file no longer has.
#[derive(Debug, Default)]
struct Leaving {
    entries: HashMap<ObjectKey, Arc<Entry>>,
    has_changed: bool,
}

impl Leaving {
    fn add(&mut self, entries: Vec<Arc<Entry>>) {
        self.has_changed = true;
        self.entries.extend(entries.into_iter().map(|entry| (entry.key.clone(), entry)));
    }

    /// Gives what was adopted.
    fn adopt_into(&self, file: &mut FileState) -> Vec<Arc<Entry>> {
        let missing = file.named.iter().filter(|key| !file.good.iter().any(|entry| entry.key == **key));
        let adopted: Vec<_> = missing.filter_map(|key| self.entries.get(key)).cloned().collect();
        file.good.extend(adopted.iter().cloned());
        adopted
    }
}
