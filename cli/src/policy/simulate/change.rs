//! The policies as they would be: from `--file` and `--delete`.

use std::io::Read;
use std::sync::Arc;

use anyhow::{Result, bail};
use palomar_model::object::ObjectName;
use palomar_model::world::World;

use super::super::KINDS;
use super::super::manifests::Manifests;
use crate::arguments::Given;

/// A world with other policies.
pub struct Changed {
    /// All objects, with the policies changed.
    pub world: World,
    /// The policies that are new or replaced, and where they stand.
    pub manifests: Manifests,
}

/// How a policy to delete is written.
const FORMS: &str = "networkpolicy/NAMESPACE/NAME, netpol/NAMESPACE/NAME";

/// That flags name a change; what is wrong with them is told before anybody is asked.
pub fn check(given: &Given) -> Result<()> {
    for (flag, wanted) in [("file", "a directory or a file of policies"), ("delete", FORMS)] {
        if let Some(entry) = given.all(flag).find(|entry| entry.value.is_empty()) {
            bail!(entry.refuse(format!("empty; choose from: {wanted}")));
        }
    }
    if given.list("file").is_empty() && given.list("delete").is_empty() {
        bail!("what would change? name new policies with --file, or one to take away with --delete");
    }
    given.list("delete").iter().try_for_each(|text| policy(text).map(drop))
}

/// Puts the policies of `--file` in the place of those of the same name, and takes those of `--delete` out. The flags have
/// been checked.
pub fn from_flags(given: &Given, now: &Manifests, stdin: &mut dyn Read) -> Result<Changed> {
    let files = given.list("file");
    let deleted: Vec<String> = given.list("delete");
    let new = Manifests::load(&files, stdin)?;
    let World { namespaces, pods, services, endpoint_slices, nodes, policies } = &new.world;
    let others = namespaces.len() + pods.len() + services.len() + endpoint_slices.len() + nodes.len();
    if others > 0 {
        bail!(
            "--file changes policies only, and holds {others} other objects; choose from: NetworkPolicy \
             (pods, namespaces, services, endpoint slices and nodes belong into --manifests)"
        );
    }
    if policies.is_empty() && deleted.is_empty() {
        bail!("--file holds no NetworkPolicy: nothing would change");
    }
    let mut world = now.world.clone();
    for text in &deleted {
        let name = policy(text)?;
        if policies.contains_key(&name) {
            bail!("--delete {text}: --file has that policy as well");
        }
        if world.policies.remove(&name).is_none() {
            bail!("--delete {text}: there is no such policy{}", near(&now.world, &name));
        }
    }
    world.policies.extend(policies.iter().map(|(name, policy)| (name.clone(), Arc::clone(policy))));
    Ok(Changed { world, manifests: new })
}

/// `networkpolicy/shop/web`
fn policy(text: &str) -> Result<ObjectName> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [kind, namespace, name]
            if KINDS.contains(&kind.to_lowercase().as_str()) && !namespace.is_empty() && !name.is_empty() =>
        {
            Ok(ObjectName::new(*namespace, *name))
        }
        _ => bail!("--delete {text}: not a policy; choose from: {FORMS}"),
    }
}

/// The policies that it could have been, a few.
fn near(world: &World, name: &ObjectName) -> String {
    let own = world.policies.keys().filter(|known| known.namespace == name.namespace);
    let near: Vec<String> = own.take(5).map(ToString::to_string).collect();
    if near.is_empty() {
        format!("; namespace {} has none", name.namespace)
    } else {
        format!("; that namespace has {}", near.join(", "))
    }
}
