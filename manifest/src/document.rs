//! One document: which kind it is, and what it holds.

use std::collections::BTreeMap;

use palomar_model::object::ObjectName;

use crate::class::{Class, classify};
use crate::error::{Problem, quoted};
use crate::fields::{At, Known, Problems};
use crate::key::{Kind, ObjectKey};
use crate::tree::Node;
use crate::{ManifestObject, Object, cluster, endpoint_slice, keep, meta, pod, policy, service, syntax};

const TYPE: Known<'_> = Known::read(&["apiVersion", "kind"]);
const OBJECT: Known<'_> = Known::read(&["apiVersion", "kind", "metadata", "spec", "status"]);
const SLICE: Known<'_> =
    Known::read(&["apiVersion", "kind", "metadata", "addressType", "endpoints", "ports"]);
const LIST: Known<'_> = Known::read(&["apiVersion", "kind", "metadata", "items"]);

/// What a file's documents held.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) objects: Vec<ManifestObject>,
    pub(crate) problems: Vec<(Problem, Option<ObjectKey>)>,
    pub(crate) ignored: BTreeMap<String, usize>,
    /// Every object that is named, well or badly written.
    pub(crate) named: Vec<(ObjectKey, u32)>,
}

// === impl Found ===

impl Found {
    /// Adds what a further document held.
    pub(crate) fn append(&mut self, other: Self) {
        let Self { objects, problems, ignored, named } = other;
        self.objects.extend(objects);
        self.problems.extend(problems);
        for (what, count) in ignored {
            *self.ignored.entry(what).or_default() += count;
        }
        self.named.extend(named);
    }
}

/// Reads an object or a list. `inherited` is the kind of the items of a typed list, which need not repeat it.
pub(crate) fn read(root: &Node, path: &str, inherited: Option<Kind>, found: &mut Found) {
    let at = At::new(root, path);
    let mut problems = Problems::default();
    let class = class_of(&at, inherited, &mut problems);
    let key = match class {
        Some(Class::Ours(kind)) => lenient_key(kind, root),
        _ => None,
    };
    if let Some(key) = &key {
        found.named.push((key.clone(), root.line));
    }
    match class {
        Some(Class::Ours(kind)) => {
            if let Some(object) = object(kind, root, &at, &mut problems) {
                found.objects.push(object);
            }
        }
        Some(Class::List(items_kind)) => {
            for item in items(&at, &mut problems) {
                read(item.node, &item.path, items_kind, found);
            }
        }
        Some(Class::Ignored(what)) => *found.ignored.entry(what).or_default() += 1,
        None => {}
    }
    found.problems.extend(problems.0.into_iter().map(|problem| (problem, key.clone())));
}

fn class_of(at: &At<'_>, inherited: Option<Kind>, problems: &mut Problems) -> Option<Class> {
    if at.node.is_null() {
        problems.add(at, "must be an object, not nothing");
        return None;
    }
    let fields = at.fields(problems, TYPE)?;
    let kind = fields.get("kind");
    let api_version = fields.get("apiVersion");
    if let (None, None, Some(kind)) = (&kind, &api_version, inherited) {
        return Some(Class::Ours(kind));
    }
    let mut text = |at: Option<At<'_>>, name| {
        if let Some(at) = at {
            return at.string(problems).map(str::to_owned);
        }
        problems.add(&fields.missing(name), "missing");
        None
    };
    let (kind, api_version) = (text(kind, "kind"), text(api_version, "apiVersion"));
    let kind = kind?;
    // Of an item without one, which is told, the kind is known nevertheless, and so is its name.
    let by_kind =
        || inherited.map(|listed| Kind::from_name(&kind).unwrap_or(listed).api_version().to_owned());
    let api_version = api_version.or_else(by_kind)?;
    match classify(&api_version, &kind) {
        Ok(class) => {
            if let Some(listed) = inherited.filter(|listed| class != Class::Ours(*listed)) {
                let at = fields.get("kind").unwrap_or_else(|| fields.missing("kind"));
                problems.add(&at, misplaced(&api_version, &kind, listed));
            }
            Some(class)
        }
        Err(misfit) => {
            problems.add(
                &fields.get(misfit.field).unwrap_or_else(|| fields.missing(misfit.field)),
                misfit.reason,
            );
            None
        }
    }
}

/// What is said of an item that is none of those its list is named for.
fn misplaced(api_version: &str, kind: &str, listed: Kind) -> String {
    let (found, listed) = (quoted(&format!("{api_version} {kind}")), listed.name());
    format!(
        "{found} stands in a {listed}List, which holds {listed} alone; for objects of several kinds write v1 List"
    )
}

/// The items of a list; `items: null` is how an empty one may be written.
fn items<'a>(at: &At<'a>, problems: &mut Problems) -> Vec<At<'a>> {
    let Some(fields) = at.fields(problems, LIST) else { return Vec::new() };
    let Some(items) = fields.get_even_null("items") else {
        problems.add(&fields.missing("items"), "missing");
        return Vec::new();
    };
    items.items(problems)
}

fn object(kind: Kind, root: &Node, at: &At<'_>, problems: &mut Problems) -> Option<ManifestObject> {
    let before = problems.0.len();
    let fields = match kind {
        // It names every unknown field itself.
        Kind::NetworkPolicy => at.fields(problems, Known::read(&[]))?,
        Kind::EndpointSlice => at.fields(problems, SLICE)?,
        _ => at.fields(problems, OBJECT)?,
    };
    let metadata = meta::read(&fields, kind, problems)?;
    let key = metadata.key.clone();
    let object = match metadata.key.clone() {
        ObjectKey::Namespace(name) => Object::Namespace(cluster::namespace(name, metadata)),
        ObjectKey::Node(name) => Object::Node(cluster::node(name, metadata, &fields, problems)),
        ObjectKey::Pod(name) => Object::Pod(pod::read(name, metadata, &fields, problems)),
        ObjectKey::Service(name) => Object::Service(service::read(name, &fields, problems)),
        ObjectKey::EndpointSlice(name) => {
            Object::EndpointSlice(endpoint_slice::read(name, metadata, &fields, problems))
        }
        ObjectKey::NetworkPolicy(name) => Object::NetworkPolicy(policy::read(name, root, &fields, problems)?),
    };
    (problems.0.len() == before).then(|| ManifestObject {
        key,
        object,
        line: root.line,
        source: keep::source(kind, root),
    })
}

/// The name of an object that may be badly written elsewhere.
fn lenient_key(kind: Kind, root: &Node) -> Option<ObjectKey> {
    let metadata = root.field("metadata")?;
    let name = metadata.field("name")?.as_str().filter(|name| syntax::dns_subdomain(name).is_ok())?;
    let namespace = metadata.field("namespace").and_then(Node::as_str);
    let namespace = namespace.filter(|namespace| syntax::dns_label(namespace).is_ok()).unwrap_or("default");
    let ObjectName { namespace, name } = ObjectName::new(namespace, name);
    Some(ObjectKey::new(kind, &namespace, &name))
}
