//! What questions are answered from: manifests, or the objects that an agent judges packets by, with the times of
//! their changes.

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use palomar_manifest::{Kind, ObjectKey, parse};
use palomar_model::object::ObjectName;
use palomar_policy::explain::Masquerade;
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{ClusterObject, ListObjectsRequest, ObjectTotals, OwnNode, RemovedObject};
use palomar_transport::http2::MAX_MESSAGE_BYTES;
use prost_types::Timestamp;
use tonic::Status;

use super::manifests::{self, Manifests, NOT_NAMED, Place};
use crate::arguments::Given;
use crate::connection::Connection;
use crate::palomar_api::failure;
use crate::render::escape::escape;
use crate::surroundings::Surroundings;
use crate::time::TimeFormat;

/// Seconds and nanoseconds since 1970.
pub type Moment = (i64, i32);

/// Objects to answer from.
#[derive(Debug)]
pub struct Basis {
    pub manifests: Manifests,
    /// When they changed; `None` for manifests that the user names, of which nobody knows.
    pub history: Option<History>,
}

/// Since when objects are in force at an agent.
#[derive(Debug, Default)]
pub struct History {
    since: HashMap<ObjectKey, Moment>,
    removed: Vec<(ObjectKey, Moment)>,
    /// From when on all changes are known; `None`: nothing is in force yet.
    known_since: Option<Moment>,
    /// Until when.
    as_of: Moment,
}

impl Basis {
    /// From `--manifests`; without it, from the agent.
    pub async fn of(
        given: &Given,
        connection: &Connection,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Self> {
        if let Some(manifests) = manifests::named(given, &mut *surroundings.input)? {
            manifests.warn_of_overlooked(&mut *surroundings.err)?;
            return Ok(Self { manifests, history: None });
        }
        if given.switch("masquerade-all")? {
            bail!("--masquerade-all goes with --manifests: an agent says itself what its node does");
        }
        let told = Self::from_agent(connection, surroundings.err).await;
        told.with_context(|| format!("{NOT_NAMED}; without it an agent is asked"))
    }

    /// The objects of the agent.
    pub async fn from_agent(connection: &Connection, err: &mut dyn std::io::Write) -> Result<Self> {
        let refused = |status: &Status| failure(connection, status);
        let link = connection.connect().await?;
        let mut client = PalomarClient::new(link).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answer = client.list_objects(ListObjectsRequest {}).await.map_err(|status| refused(&status))?;
        connection.warn_of_newer(answer.metadata(), err)?;
        let mut stream = answer.into_inner();
        let (mut manifests, mut history, mut totals) = (Manifests::default(), History::default(), None);
        while let Some(part) = stream.message().await.map_err(|status| refused(&status))? {
            for object in &part.objects {
                let key = add(object, &mut manifests)?;
                history.since.insert(key, moment(object.in_force_since.as_ref()));
            }
            history.removed.extend(part.removed.iter().filter_map(removed));
            totals = part.totals;
            if let Some(OwnNode { name, addresses, masquerades_all }) = part.node {
                manifests.know_node(name, parsed(&addresses)?);
                manifests.masquerade =
                    if masquerades_all { Masquerade::All } else { Masquerade::FromOutside };
            }
        }
        let Some(ObjectTotals { objects: _, known_since, as_of }) = totals else {
            bail!("the agent's answer ended before its end");
        };
        history.known_since = known_since.as_ref().map(|known_since| moment(Some(known_since)));
        history.as_of = moment(as_of.as_ref());
        Ok(Self { manifests, history: Some(history) })
    }

    /// Since when a policy is in force at the agent, in words; `None` for manifests that the user names.
    pub fn in_force_since(&self, policy: &ObjectName) -> Option<String> {
        let since = self.history.as_ref()?.since.get(&ObjectKey::NetworkPolicy(policy.clone()))?;
        Some(shown(*since))
    }

    /// Whether the objects may have changed since they were asked for, as seen from a flow of that time.
    pub fn is_older_than(&self, time: Moment) -> bool {
        self.history.as_ref().is_some_and(|history| history.as_of < time)
    }

    /// Why a flow of that time may have been judged by other objects than these; `None`: it was judged by these. `ends`
    /// are the pods and services that it is between.
    pub fn changed_since(&self, time: Moment, ends: &[&ObjectKey]) -> Option<String> {
        let Some(history) = &self.history else { return None };
        history.changed_since(time, ends)
    }
}

impl History {
    fn changed_since(&self, time: Moment, ends: &[&ObjectKey]) -> Option<String> {
        let Some(known_since) = self.known_since else {
            return Some("what was in force: the agent holds no objects yet".to_owned());
        };
        if time < known_since {
            let since = shown(known_since);
            return Some(format!("what was in force: the agent knows of changes since {since} only"));
        }
        if self.as_of < time {
            return Some(format!(
                "what is in force: the agent told of changes until {} only",
                shown(self.as_of)
            ));
        }
        let matters = |key: &ObjectKey| ends.iter().any(|end| concerns(key, end));
        let changed = self.since.iter().filter(|(key, since)| **since > time && matters(key));
        // the same one each time, of several
        if let Some((key, since)) = changed.min_by_key(|(key, since)| (**since, *key)) {
            return Some(format!("what was in force: {key} has changed since, at {}", shown(*since)));
        }
        let mut removed = self.removed.iter().filter(|(key, at)| *at > time && matters(key));
        let (key, at) = removed.next()?;
        Some(format!("what was in force: {key} was removed since, at {}", shown(*at)))
    }
}

/// Whether a change of this object may change what is said of an end.
fn concerns(key: &ObjectKey, end: &ObjectKey) -> bool {
    let namespace = match end {
        ObjectKey::Pod(name)
        | ObjectKey::Service(name)
        | ObjectKey::EndpointSlice(name)
        | ObjectKey::NetworkPolicy(name) => &name.namespace,
        ObjectKey::Namespace(_) | ObjectKey::Node(_) => return key == end,
    };
    match key {
        ObjectKey::Namespace(name) => name == namespace,
        ObjectKey::NetworkPolicy(policy) => policy.namespace == *namespace,
        // those behind a service
        ObjectKey::Pod(name) | ObjectKey::EndpointSlice(name) if matches!(end, ObjectKey::Service(_)) => {
            name.namespace == *namespace
        }
        ObjectKey::Pod(_) | ObjectKey::Service(_) | ObjectKey::EndpointSlice(_) | ObjectKey::Node(_) => {
            key == end
        }
    }
}

fn parsed(texts: &[String]) -> Result<Vec<IpAddr>> {
    let address =
        |text: &String| text.parse().with_context(|| format!("the agent's own address: {}", escape(text)));
    texts.iter().map(address).collect()
}

fn add(object: &ClusterObject, manifests: &mut Manifests) -> Result<ObjectKey> {
    let ClusterObject { json, file, line, in_force_since: _ } = object;
    let mut found = parse(file, json);
    if let Some(error) = found.errors.first() {
        bail!("an object of the agent is not good for this version: {error}");
    }
    let Some(object) = found.objects.pop().filter(|_| found.objects.is_empty()) else {
        bail!("{}:{line}: not one object in the agent's answer", escape(file));
    };
    let key = object.key.clone();
    manifests.insert(object, Place { file: file.clone(), line: *line });
    Ok(key)
}

/// `None` for a kind that this version does not know: nothing here hangs on it.
fn removed(object: &RemovedObject) -> Option<(ObjectKey, Moment)> {
    let RemovedObject { kind, namespace, name, removed_at } = object;
    let key = ObjectKey::new(Kind::from_name(kind)?, namespace, name);
    Some((key, moment(removed_at.as_ref())))
}

fn moment(time: Option<&Timestamp>) -> Moment {
    time.map_or((0, 0), |time| (time.seconds, time.nanos))
}

fn shown(time: Moment) -> String {
    TimeFormat::Rfc3339Milli.text(Some(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_explained_only_where_nothing_that_concerns_it_has_changed_since() {
        let name = |name: &str| ObjectName::new("shop", name);
        let policy = ObjectKey::NetworkPolicy(name("web"));
        let (web, front) = (ObjectKey::Pod(name("web-1")), ObjectKey::Pod(ObjectName::new("front", "a")));
        let far = ObjectKey::NetworkPolicy(ObjectName::new("far", "x"));
        let history = |changed: &[(&ObjectKey, i64)], removed: &[(&ObjectKey, i64)]| History {
            since: changed.iter().map(|(key, at)| ((*key).clone(), (*at, 0))).collect(),
            removed: removed.iter().map(|(key, at)| ((*key).clone(), (*at, 0))).collect(),
            known_since: Some((10, 0)),
            as_of: (90, 0),
        };
        let namespace = ObjectKey::Namespace("front".to_owned());
        let table = [
            ("nothing has changed", history(&[(&policy, 10), (&web, 20)], &[]), None),
            (
                "a policy of an end's namespace has",
                history(&[(&policy, 51)], &[]),
                Some("NetworkPolicy shop/web has"),
            ),
            ("a policy of another namespace has", history(&[(&far, 51)], &[]), None),
            ("a pod of an end has", history(&[(&web, 51)], &[]), Some("Pod shop/web-1 has changed")),
            ("a namespace has", history(&[(&namespace, 51)], &[]), Some("Namespace front has changed")),
            (
                "a policy was removed",
                history(&[], &[(&policy, 51)]),
                Some("NetworkPolicy shop/web was removed"),
            ),
            ("a policy was removed before", history(&[], &[(&policy, 49)]), None),
        ];
        for (what, history, expected) in table {
            let found = history.changed_since((50, 0), &[&web, &front]);
            match expected {
                None => assert_eq!(found, None, "{what}"),
                Some(expected) => {
                    assert!(found.clone().is_some_and(|found| found.contains(expected)), "{what}: {found:?}");
                }
            }
        }
        let quiet = history(&[], &[]);
        let at = |time| quiet.changed_since((time, 0), &[&web]).unwrap_or_default();
        assert!(at(9).contains("knows of changes since 1970-01-01T00:00:10"), "{}", at(9));
        assert!(at(91).contains("told of changes until 1970-01-01T00:01:30"), "{}", at(91));
    }
}
