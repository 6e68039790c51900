//! `metadata`: what every object has.

use palomar_model::labels::Labels;
use palomar_model::object::Workload;

use crate::error::Problem;
use crate::fields::{At, Fields, Known, Problems, unknown_field};
use crate::key::{Kind, ObjectKey};
use crate::suggest::nearest;
use crate::syntax;
use crate::tree::Value;

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

const METADATA: Known<'_> = Known {
    read: &["name", "namespace", "uid", "labels", "ownerReferences"],
    others: &["generateName", "annotations", "finalizers", "generation", "managedFields", "selfLink"],
};
/// When an object is to be gone. The API server writes it, so nobody's slip is feared.
const DELETED_AT: &str = "deletionTimestamp";
/// All that the API server knows, beyond those above.
const FURTHER: [&str; 4] = ["creationTimestamp", "deletionGracePeriodSeconds", DELETED_AT, "resourceVersion"];
/// Bytes that keys and values of annotations may have together.
const MAX_ANNOTATIONS: usize = 256 << 10;
const OWNER: Known<'_> =
    Known { read: &["kind", "name", "controller"], others: &["apiVersion", "uid", "blockOwnerDeletion"] };

/// The parts of `metadata` that Palomar reads.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) key: ObjectKey,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    /// The owner that controls the object.
    pub(crate) controller: Option<Workload>,
    /// Whether it is being deleted.
    pub(crate) is_ending: bool,
}

/// Reads `metadata` of an object of this kind; `None` where it has no usable name.
pub(crate) fn read(root: &Fields<'_>, kind: Kind, problems: &mut Problems) -> Option<Metadata> {
    let Some(at) = root.get("metadata") else {
        problems.add(&root.missing("metadata"), "missing");
        return None;
    };
    let fields = at.fields(problems, METADATA)?;
    if kind == Kind::NetworkPolicy {
        unknown_fields(&at, problems);
        annotations(&at, problems);
    }
    let name_rule = match kind {
        Kind::Namespace | Kind::Service => syntax::dns_label,
        Kind::Node | Kind::Pod | Kind::EndpointSlice | Kind::NetworkPolicy => syntax::dns_subdomain,
    };
    let name = fields.get("name");
    if name.is_none() {
        problems.add(&fields.missing("name"), "missing");
    }
    let name = name.and_then(|at| at.checked(problems, name_rule));
    let namespace = match fields.get_text("namespace").filter(|_| kind.is_namespaced()) {
        Some(at) => at.checked(problems, syntax::dns_label),
        None => Some(DEFAULT_NAMESPACE),
    };
    let uid = fields.get("uid").and_then(|at| at.checked(problems, syntax::uid));
    let labels = fields.get("labels").map(|at| at.labels(problems)).unwrap_or_default();
    let controller = fields.get("ownerReferences").and_then(|at| controller(&at, problems));
    let deleted_at = fields.get_text(DELETED_AT).and_then(|at| at.string(problems));
    Some(Metadata {
        key: ObjectKey::new(kind, namespace?, name?),
        uid: uid.unwrap_or_default().to_owned(),
        labels,
        controller,
        is_ending: deleted_at.is_some(),
    })
}

/// In a policy no field is overlooked. One that looks like a slip has been told.
fn unknown_fields(at: &At<'_>, problems: &mut Problems) {
    let Value::Map(entries) = &at.node.value else { return };
    let known = [METADATA.read, METADATA.others, &FURTHER].concat();
    for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&&*key.text)) {
        if nearest(&key.text, METADATA.read).is_none() {
            let path = format!("{}.{}", at.path, key.text);
            problems.push(Problem::new(key.line, path, unknown_field(&key.text, &known)));
        }
    }
}

/// Nobody here reads annotations; the API server wants them to be texts under keys like those of labels.
fn annotations(at: &At<'_>, problems: &mut Problems) {
    let Some(node) = at.node.field("annotations").filter(|node| !node.is_null()) else { return };
    let at = At::new(node, format!("{}.annotations", at.path));
    let Value::Map(entries) = &node.value else {
        return problems.add(&at, format!("must be a mapping, not {}", node.kind_of_value()));
    };
    let mut bytes = 0;
    for (key, value) in entries.iter() {
        let path = format!("{}.{}", at.path, key.text);
        // the prefix alone is in lower case by its rule, and that is not asked for here
        if let Err(reason) = syntax::label_key(&key.text.to_lowercase()) {
            let reason = format!("{reason}; the keys of annotations are as those of labels");
            problems.push(Problem::new(key.line, path.clone(), reason));
        }
        let text = if value.is_null() { None } else { At::new(value, path).string(problems) };
        bytes += key.text.len() + text.unwrap_or_default().len();
    }
    if bytes > MAX_ANNOTATIONS {
        problems.add(&at, format!("{bytes} bytes are too many; at most {MAX_ANNOTATIONS} may stand here"));
    }
}

fn controller(at: &At<'_>, problems: &mut Problems) -> Option<Workload> {
    let mut found = None;
    for owner in at.items(problems) {
        let Some(fields) = owner.fields(problems, OWNER) else { continue };
        if fields.get("controller").and_then(|at| at.boolean(problems)) != Some(true) {
            continue;
        }
        let kind = fields.get("kind").and_then(|at| at.checked(problems, syntax::kind));
        let name = fields.get("name").and_then(|at| at.checked(problems, syntax::dns_subdomain));
        match (kind, name) {
            (Some(kind), Some(name)) => {
                found = Some(Workload { name: name.to_owned(), kind: kind.to_owned() });
            }
            _ => problems.add(&owner, "an owner has a kind and a name"),
        }
    }
    found
}
