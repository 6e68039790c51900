//! The objects in force, as messages.

use palomar_flow::convert::timestamp;
use palomar_manifest::ObjectKey;
use palomar_proto::palomar::v1;

use crate::control::{Held, History, SETTLE_NS};
use crate::directory::Directory;
use crate::world::WrittenObject;

/// Objects in a message.
const PART: usize = 500;

/// The answer to `ListObjects`: objects by kind and name, then what was removed, then the totals and the node itself.
pub fn messages(
    history: &History,
    directory: &Directory,
    masquerades_all: bool,
    now_ns: i64,
) -> Vec<v1::ListObjectsResponse> {
    let mut held: Vec<&Held> = history.objects.values().collect();
    held.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    let parts = held.chunks(PART).map(|part| v1::ListObjectsResponse {
        objects: part.iter().map(|held| object(held)).collect(),
        ..v1::ListObjectsResponse::default()
    });
    let last = v1::ListObjectsResponse {
        objects: Vec::new(),
        removed: history.removed.iter().map(|(key, at)| removed(key, *at)).collect(),
        totals: Some(v1::ObjectTotals {
            objects: u64::try_from(held.len()).unwrap_or(u64::MAX),
            known_since: history.known_since_ns.map(timestamp),
            as_of: Some(timestamp(now_ns.saturating_sub(SETTLE_NS))),
        }),
        node: Some(own_node(directory, masquerades_all)),
    };
    parts.chain([last]).collect()
}

fn own_node(directory: &Directory, masquerades_all: bool) -> v1::OwnNode {
    let addresses = directory.node_addresses.iter().filter(|address| !address.is_loopback());
    v1::OwnNode {
        name: directory.node_name.as_ref().to_owned(),
        addresses: addresses.map(ToString::to_string).collect(),
        masquerades_all,
    }
}

fn object(held: &Held) -> v1::ClusterObject {
    let Held { object: WrittenObject { key: _, file, line, source }, since_ns } = held;
    v1::ClusterObject {
        json: source.as_ref().to_owned(),
        file: file.as_ref().to_owned(),
        line: *line,
        in_force_since: Some(timestamp(*since_ns)),
    }
}

fn removed(key: &ObjectKey, at_ns: i64) -> v1::RemovedObject {
    let (namespace, name) = match key {
        ObjectKey::Namespace(name) | ObjectKey::Node(name) => (String::new(), name.clone()),
        ObjectKey::Pod(name)
        | ObjectKey::Service(name)
        | ObjectKey::EndpointSlice(name)
        | ObjectKey::NetworkPolicy(name) => (name.namespace.clone(), name.name.clone()),
    };
    v1::RemovedObject {
        kind: key.kind().name().to_owned(),
        namespace,
        name,
        removed_at: Some(timestamp(at_ns)),
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::object::ObjectName;
    use palomar_model::shared_map::SharedMap;

    use super::*;

    #[test]
    fn the_answer_has_every_object_once_in_order_and_ends_with_the_totals() {
        let written = |name: &str| WrittenObject {
            key: ObjectKey::Pod(ObjectName::new("demo", name)),
            file: "pods.yaml".into(),
            line: 7,
            source: format!("{{\"name\":\"{name}\"}}").into(),
        };
        let names: Vec<String> = (0..=PART).map(|at| format!("{at:04}")).collect();
        let objects: Vec<WrittenObject> = names.iter().map(|name| written(name)).collect();
        let by_name = |objects: &[WrittenObject]| {
            objects.iter().map(|object| (object.key.clone(), object.clone())).collect::<SharedMap<_, _>>()
        };
        let history = History::default().then(&by_name(&[written("gone")]), 1_000_000_000);
        let history = history.then(&by_name(&objects), 2_000_000_000);
        let mut directory = Directory::empty("n1".into(), "default".into());
        let own = ["127.0.0.1", "192.0.2.1", "10.0.0.1"];
        directory.node_addresses = own.map(|own| own.parse().unwrap()).into();
        let messages = messages(&history, &directory, true, 3_000_000_000);
        let found: Vec<&v1::ClusterObject> = messages.iter().flat_map(|message| &message.objects).collect();
        let expected: Vec<&str> = objects.iter().map(|object| &*object.source).collect();
        assert_eq!(found.iter().map(|object| object.json.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!((found[0].file.as_str(), found[0].line), ("pods.yaml", 7));
        assert_eq!(found[0].in_force_since, Some(timestamp(2_050_000_000)));
        let (last, parts) = messages.split_last().expect("there is a last message");
        assert!(
            parts.iter().all(|part| part.totals.is_none() && part.node.is_none() && part.removed.is_empty())
        );
        let [gone] = &last.removed[..] else { panic!("{:?}", last.removed) };
        assert_eq!(
            (gone.kind.as_str(), gone.namespace.as_str(), gone.name.as_str()),
            ("Pod", "demo", "gone")
        );
        assert_eq!(gone.removed_at, Some(timestamp(2_050_000_000)));
        let node = v1::OwnNode {
            name: "n1".into(),
            addresses: vec!["10.0.0.1".into(), "192.0.2.1".into()],
            masquerades_all: true,
        };
        assert_eq!(last.node, Some(node));
        let totals = last.totals.as_ref().expect("totals");
        assert_eq!((totals.objects, totals.known_since), (501, Some(timestamp(1_050_000_000))));
        assert_eq!(totals.as_of, Some(timestamp(2_950_000_000)));
    }
}
