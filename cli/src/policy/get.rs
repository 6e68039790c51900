//! `policy get`: what an agent enforces for one pod, or all that there is to say of one policy.

use anyhow::{Result, bail};
use palomar_model::object::ObjectName;
use palomar_model::world::World;
use palomar_proto::palomar::v1::Endpoint;

use super::basis::Basis;
use super::{KINDS, list, sheet};
use crate::arguments::{Parsed, UsageError};
use crate::connection::Connection;
use crate::palomar_api::output;
use crate::render::escape::escape;
use crate::surroundings::Surroundings;

/// How a pod and a policy are written.
const FORMS: &str = "NAMESPACE/NAME, pod/NAMESPACE/NAME, networkpolicy/NAMESPACE/NAME, or NAME alone";

/// Names that pods are known by.
const PODS: [&str; 3] = ["pod", "pods", "po"];

/// How many names are offered instead of one that is none.
const OFFERED: usize = 10;

/// `policy get NAME`.
pub async fn get(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let output = output(&parsed.given)?;
    let [word] = parsed.words.as_slice() else {
        bail!(UsageError::MissingArgument("a pod or a policy, as namespace/name"));
    };
    let readings = Reading::all(word);
    if readings.is_empty() {
        bail!("{}: neither a pod nor a policy; choose from: {FORMS}", escape(word));
    }
    let (endpoints, basis) = list::ask(connection, surroundings).await?;
    let found = Found::of(&readings, &endpoints, &basis.manifests.world);
    match found.as_slice() {
        [Found::Pod(endpoint)] => list::print(&[endpoint], &basis.manifests, output, surroundings),
        [Found::Policy(name)] => sheet::print(name, &endpoints, &basis, output, surroundings),
        [] => bail!("{}", nothing(word, &readings, &endpoints, &basis)),
        several => {
            let names: Vec<String> = several.iter().map(Found::in_full).collect();
            bail!(
                "{} names {} of them; choose from: {}",
                escape(word),
                names.len(),
                escape(&names.join(", "))
            )
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pod,
    Policy,
}

/// What a word can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading<'a> {
    /// `None`: either.
    kind: Option<Kind>,
    /// `None`: any.
    namespace: Option<&'a str>,
    name: &'a str,
}

/// What it means.
enum Found<'a> {
    Pod(&'a Endpoint),
    Policy(&'a ObjectName),
}

// === impl Reading ===

impl<'a> Reading<'a> {
    /// None for a word that is not of the right form.
    fn all(word: &'a str) -> Vec<Self> {
        let parts: Vec<&str> = word.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Vec::new();
        }
        match parts.as_slice() {
            [name] => vec![Self { kind: None, namespace: None, name }],
            // A namespace may have the name of a kind.
            [first, name] => {
                let by_kind = kind(first).map(|kind| Self { kind: Some(kind), namespace: None, name });
                by_kind.into_iter().chain([Self { kind: None, namespace: Some(first), name }]).collect()
            }
            [first, namespace, name] => {
                let by_kind = kind(first);
                by_kind
                    .map(|kind| Self { kind: Some(kind), namespace: Some(namespace), name })
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn fits(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.kind.is_none_or(|own| own == kind)
            && self.namespace.is_none_or(|own| own == namespace)
            && self.name == name
    }
}

fn kind(word: &str) -> Option<Kind> {
    let word = word.to_lowercase();
    if PODS.contains(&word.as_str()) {
        Some(Kind::Pod)
    } else {
        KINDS.contains(&word.as_str()).then_some(Kind::Policy)
    }
}

// === impl Found ===

impl<'a> Found<'a> {
    fn of(readings: &[Reading<'_>], endpoints: &'a [Endpoint], world: &'a World) -> Vec<Self> {
        let fits = |kind: Kind, namespace: &str, name: &str| {
            readings.iter().any(|reading| reading.fits(kind, namespace, name))
        };
        let pods = endpoints.iter().filter(|pod| fits(Kind::Pod, &pod.namespace, &pod.pod_name));
        let policies = world.policies.keys().filter(|name| fits(Kind::Policy, &name.namespace, &name.name));
        pods.map(Self::Pod).chain(policies.map(Self::Policy)).collect()
    }

    /// What names it alone.
    fn in_full(&self) -> String {
        match self {
            Self::Pod(endpoint) => format!("pod/{}", list::name(endpoint)),
            Self::Policy(name) => format!("networkpolicy/{name}"),
        }
    }
}

/// Why a word names nothing, and what it could have been.
fn nothing(written: &str, readings: &[Reading<'_>], endpoints: &[Endpoint], basis: &Basis) -> String {
    let world = &basis.manifests.world;
    let elsewhere = world.pods.values().find(|pod| {
        readings.iter().any(|reading| reading.fits(Kind::Pod, &pod.name.namespace, &pod.name.name))
    });
    if let Some(pod) = elsewhere {
        let why = match (pod.host_network, pod.node.as_str()) {
            (true, _) => "shares its node's network: no policy selects it".to_owned(),
            (false, "") => "is on no node yet".to_owned(),
            (false, node) => format!("is not seen by this agent: it is on node {node}, whose agent can tell"),
        };
        return format!("pod {} {}", escape(&pod.name.to_string()), escape(&why));
    }
    let asks_for = |kind: Kind| readings.iter().any(|reading| reading.kind.is_none_or(|own| own == kind));
    let mut wanted = Vec::new();
    let mut known = Vec::new();
    if asks_for(Kind::Pod) {
        wanted.push("no pod of the agent's node");
        known.extend(endpoints.iter().map(list::name));
    }
    if asks_for(Kind::Policy) {
        wanted.push("no policy");
        known.extend(world.policies.keys().map(ToString::to_string));
    }
    known.sort();
    known.dedup();
    // first those of the same namespace, or of the same name
    let is_near = |name: &String| {
        readings.iter().any(|reading| {
            let (namespace, own) = name.split_once('/').unwrap_or(("", name));
            reading.namespace == Some(namespace) || reading.name == own
        })
    };
    known.sort_by_key(|name| !is_near(name));
    let left_out = known.len().saturating_sub(OFFERED);
    known.truncate(OFFERED);
    let choices = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let more = match left_out {
        0 => String::new(),
        more => format!(" and {more} more, which palomar policy list prints"),
    };
    format!("{}: {}; choose from: {}{more}", escape(written), wanted.join(" and "), escape(&choices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_in_every_way_that_it_can_be_meant() {
        let reading = |kind, namespace, name| Reading { kind, namespace, name };
        let table: [(&str, Vec<Reading<'_>>); 9] = [
            ("web", vec![reading(None, None, "web")]),
            ("shop/web", vec![reading(None, Some("shop"), "web")]),
            ("pod/shop/web", vec![reading(Some(Kind::Pod), Some("shop"), "web")]),
            ("netpol/shop/web", vec![reading(Some(Kind::Policy), Some("shop"), "web")]),
            ("NetworkPolicy/shop/web", vec![reading(Some(Kind::Policy), Some("shop"), "web")]),
            ("pod/web", vec![reading(Some(Kind::Pod), None, "web"), reading(None, Some("pod"), "web")]),
            ("svc/shop/web", vec![]),
            ("shop/", vec![]),
            ("a/b/c/d", vec![]),
        ];
        for (word, expected) in table {
            assert_eq!(Reading::all(word), expected, "{word}");
        }
    }
}
