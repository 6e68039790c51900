//! `metadata`: what every object has.

use palomar_model::labels::Labels;
use palomar_model::object::Workload;

use crate::fields::{At, Fields, Known, Problems};
use crate::key::{Kind, ObjectKey};
use crate::syntax;

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

const METADATA: Known<'_> = Known {
    read: &["name", "namespace", "uid", "labels", "ownerReferences"],
    others: &["generateName", "annotations", "finalizers", "generation", "managedFields", "selfLink"],
};
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
}

/// Reads `metadata` of an object of this kind; `None` where it has no usable name.
pub(crate) fn read(root: &Fields<'_>, kind: Kind, problems: &mut Problems) -> Option<Metadata> {
    let Some(at) = root.get("metadata") else {
        problems.add(&root.missing("metadata"), "missing");
        return None;
    };
    let fields = at.fields(problems, METADATA)?;
    let name_rule = match kind {
        Kind::Namespace | Kind::Service => syntax::dns_label,
        Kind::Node | Kind::Pod | Kind::NetworkPolicy => syntax::dns_subdomain,
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
    Some(Metadata {
        key: ObjectKey::new(kind, namespace?, name?),
        uid: uid.unwrap_or_default().to_owned(),
        labels,
        controller,
    })
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
