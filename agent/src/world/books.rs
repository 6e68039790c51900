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
use palomar_model::world::{Namespace, Node, Pod, Service, World};

use super::folder::Reading;
use super::{Refusal, WrittenObject};

/// All files, by name.
#[derive(Debug, Default)]
pub(super) struct Books {
    files: BTreeMap<String, FileState>,
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
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub(super) world: World,
    /// Every object of the world, in no order.
    pub(super) objects: Arc<[WrittenObject]>,
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
    fn written(&self, file: &str) -> WrittenObject {
        let Self { key, line, source, object: _ } = self;
        WrittenObject { key: key.clone(), file: file.into(), line: *line, source: Arc::clone(source) }
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
        let state = |objects: Vec<ManifestObject>| FileState {
            good: objects.into_iter().map(|object| Arc::new(object.into())).collect(),
            ..FileState::default()
        };
        Self { files: files.into_iter().map(|(name, objects)| (name, state(objects))).collect() }
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
        let mut anything = false;
        let mut leaving = Leaving::default();
        let gone: Vec<String> =
            self.files.keys().filter(|name| !readings.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(file) = self.files.remove(&name) {
                anything = true;
                leaving.add(file.good);
            }
        }
        let mut newly_refused = Vec::new();
        for (name, reading) in readings {
            let file = self.files.entry(name.clone()).or_default();
            match reading {
                Reading::Unchanged => {}
                Reading::Unreadable(reason) => {
                    let errors = vec![whole_file(&name, reason)];
                    anything |= file.errors != errors;
                    file.refuse(errors, BTreeSet::new());
                }
                Reading::Text(text) => {
                    anything = true;
                    let manifest = palomar_manifest::parse(&name, &text);
                    if manifest.errors.is_empty() && text.trim().is_empty() && !file.good.is_empty() {
                        file.refuse(vec![whole_file(&name, file.why_empty_is_refused())], BTreeSet::new());
                    } else if manifest.errors.is_empty() {
                        leaving.add(file.accept(manifest));
                    } else {
                        file.refuse(manifest.errors, manifest.named);
                        newly_refused.push(name);
                    }
                }
            }
        }
        // A file that was renamed and broken in one go: its objects' last good state goes with their names.
        for name in newly_refused {
            if let Some(file) = self.files.get_mut(&name) {
                leaving.adopt_into(file);
            }
        }
        Changed { anything, last_good: leaving.has_changed }
    }

    /// What is in force now.
    pub(super) fn in_force(&self) -> InForce {
        let mut force = InForce::default();
        let mut objects = Vec::new();
        let mut owners: HashMap<&ObjectKey, (&str, u32)> = HashMap::new();
        let mut repeated: BTreeMap<&str, Vec<Refusal>> = BTreeMap::new();
        for (name, file) in &self.files {
            for entry in file.good.iter().filter(|entry| file.claims(&entry.key)) {
                if let Some((owner, line)) = owners.get(&entry.key) {
                    repeated.entry(name).or_default().push(twice(name, entry, owner, *line));
                } else {
                    owners.insert(&entry.key, (name, entry.line));
                    entry.add_to(&mut force.world);
                    objects.push(entry.written(name));
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
                    objects.push(entry.written(name));
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
            force.refused.extend(repeated.remove(name.as_str()).unwrap_or_default());
        }
        force.objects = objects.into();
        force
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

    fn adopt_into(&self, file: &mut FileState) {
        let missing = file.named.iter().filter(|key| !file.good.iter().any(|entry| entry.key == **key));
        let adopted: Vec<_> = missing.filter_map(|key| self.entries.get(key)).cloned().collect();
        file.good.extend(adopted);
    }
}
