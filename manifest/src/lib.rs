//! Kubernetes YAML text to Palomar's objects, with errors that name file, line and field.
//!
//! [`parse`] takes what `kubectl` takes: several documents in a file, lists (`kind: List`, `PodList`), JSON. It reads
//! Pods, Namespaces, Services, `EndpointSlices`, Nodes and `NetworkPolicies`; other kinds are counted, the older
//! `Endpoints` among them. No files are opened here.
//!
//! A file is taken whole or refused whole. A `NetworkPolicy` may hold no unknown field at all. The other kinds hold
//! many fields that nobody here reads; among them only a name that looks like a slip of one that *is* read is an error.

#![forbid(unsafe_code)]

mod class;
mod cluster;
mod containers;
mod de;
mod document;
mod endpoint_slice;
mod error;
pub mod expectations;
mod fields;
mod keep;
mod key;
mod load;
mod meta;
mod pod;
mod policy;
mod scalar;
mod service;
mod suggest;
mod syntax;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use palomar_model::endpoint_slice::EndpointSlice;
use palomar_model::netpol::NetworkPolicy;
use palomar_model::world::{Namespace, Node, Pod, Service, World};

pub use error::{Escaped, ManifestError};
pub use key::{Kind, ObjectKey};
pub use load::MAX_PROBLEMS;

use document::Found;
use error::Problem;
use tree::Document;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// The most objects that a file may hold.
pub const MAX_OBJECTS: usize = 100_000;

/// An object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A namespace.
    Namespace(Namespace),
    /// A node.
    Node(Node),
    /// A pod.
    Pod(Pod),
    /// A service.
    Service(Service),
    /// An endpoint slice.
    EndpointSlice(EndpointSlice),
    /// A network policy.
    NetworkPolicy(NetworkPolicy),
}

impl Object {
    /// Puts it into a world; what was there under its name is replaced.
    pub fn insert_into(self, world: &mut World) {
        match self {
            Self::Namespace(namespace) => {
                world.namespaces.insert(namespace.name.clone(), Arc::new(namespace));
            }
            Self::Node(node) => {
                world.nodes.insert(node.name.clone(), Arc::new(node));
            }
            Self::Pod(pod) => {
                world.pods.insert(pod.name.clone(), Arc::new(pod));
            }
            Self::Service(service) => {
                world.services.insert(service.name.clone(), Arc::new(service));
            }
            Self::EndpointSlice(slice) => {
                world.endpoint_slices.insert(slice.name.clone(), Arc::new(slice));
            }
            Self::NetworkPolicy(policy) => {
                world.policies.insert(policy.name.clone(), Arc::new(policy));
            }
        }
    }
}

/// An object of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestObject {
    /// Its kind and name.
    pub key: ObjectKey,
    /// The object.
    pub object: Object,
    /// The line that it begins on, from 1.
    pub line: u32,
    /// It as JSON on one line, cut down to the fields that are read: [`parse`] makes the same object of it. Meant for
    /// keeping; annotations, environment variables and the like are not in it.
    pub source: String,
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Its objects, in the order of the file. Empty where there are errors: a file is taken whole or refused whole.
    pub objects: Vec<ManifestObject>,
    /// What is wrong with it, in the order of the file, at most 50 of them. Empty: the file is good.
    pub errors: Vec<ManifestError>,
    /// Objects of kinds that are not read, by `apiVersion` and kind, e.g. `apps/v1 Deployment`. The text is the
    /// file's: escape it.
    pub ignored: BTreeMap<String, usize>,
    /// Every object that the file names, as far as it can be read: in a file with errors the broken ones too.
    pub named: BTreeSet<ObjectKey>,
}

/// Reads the text of a file. `file` is its name in errors.
pub fn parse(file: &str, text: &str) -> Manifest {
    if text.len() > MAX_FILE_BYTES {
        let reason = format!("{} bytes are too many for a file; the limit is {MAX_FILE_BYTES}", text.len());
        return refused(file, vec![(Problem::new(0, "", reason), None)]);
    }
    let mut found = Found::default();
    for document in load::load(text) {
        let Document { root, problems, is_whole } = document;
        let is_broken = !problems.is_empty();
        let mut within = Found::default();
        if is_broken || !root.is_null() {
            document::read(&root, "", None, &mut within);
        }
        if !is_whole {
            // Its names are wanted; what else is missing in it follows from what is told already.
            within = Found { named: within.named, ..Found::default() };
        }
        let is_told =
            |new: &Problem| problems.iter().any(|told| told.line == new.line && told.field == new.field);
        within.problems.retain(|(problem, _)| !is_told(problem));
        found.problems.extend(problems.into_iter().map(|problem| (problem, None)));
        found.append(within);
    }
    if found.named.len() > MAX_OBJECTS {
        let reason =
            format!("{} objects are too many for a file; the limit is {MAX_OBJECTS}", found.named.len());
        return refused(file, vec![(Problem::new(0, "", reason), None)]);
    }
    let repeats = repeats(&found.named);
    found.problems.extend(repeats);
    let Found { objects, mut problems, ignored, named } = found;
    problems.sort_by_key(|(problem, _)| problem.line);
    problems.truncate(MAX_PROBLEMS);
    let mut manifest = refused(file, problems);
    manifest.ignored = ignored;
    manifest.named = named.into_iter().map(|(key, _)| key).collect();
    if manifest.errors.is_empty() {
        manifest.objects = objects;
    }
    manifest
}

fn refused(file: &str, problems: Vec<(Problem, Option<ObjectKey>)>) -> Manifest {
    let error = |(Problem { line, field, reason }, object)| ManifestError {
        file: file.to_owned(),
        line,
        field,
        reason,
        object,
    };
    Manifest { errors: problems.into_iter().map(error).collect(), ..Manifest::default() }
}

/// Objects that stand in the file more than once.
fn repeats(named: &[(ObjectKey, u32)]) -> Vec<(Problem, Option<ObjectKey>)> {
    let mut first_lines = HashMap::new();
    let mut problems = Vec::new();
    for (key, line) in named {
        if let Some(first) = first_lines.get(key) {
            let reason = format!("{key} stands in this file already, on line {first}");
            problems.push((Problem::new(*line, "metadata.name", reason), Some(key.clone())));
        } else {
            first_lines.insert(key, *line);
        }
    }
    problems
}
