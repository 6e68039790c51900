//! Since when each object is in force: what a flow of the past can be explained by.

use std::collections::VecDeque;

use palomar_manifest::ObjectKey;
use palomar_model::shared_map::SharedMap;

use crate::world::WrittenObject;

/// Removals that are remembered.
pub const MAX_REMOVED: usize = 1_000;
/// How long after the kernel was told packets may still be judged by what was before, in nanoseconds.
pub const SETTLE_NS: i64 = 50_000_000;

/// The objects that the kernel holds, and when that changed. Empty before the first world.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the objects were last taken from.
    pub of: SharedMap<ObjectKey, WrittenObject>,
    /// Every object in force, by its name.
    pub objects: SharedMap<ObjectKey, Held>,
    /// What was in force and is no more, the longest ago first; at most [`MAX_REMOVED`].
    pub removed: VecDeque<(ObjectKey, i64)>,
    /// From when on every change is known, in nanoseconds since the Unix epoch; `None` before the first world.
    pub known_since_ns: Option<i64>,
}

/// An object in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// As it was written.
    pub object: WrittenObject,
    /// Since when packets are surely judged by it, in nanoseconds since the Unix epoch.
    pub since_ns: i64,
}

impl History {
    /// What is known once the kernel holds these objects, at this time. An object that says the same as before keeps its
    /// time, also where it stands in another place.
    #[must_use]
    pub fn then(&self, objects: &SharedMap<ObjectKey, WrittenObject>, now_ns: i64) -> Self {
        let settled = now_ns.saturating_add(SETTLE_NS);
        let mut next = Self { of: objects.clone(), ..self.clone() };
        for change in self.of.changes(objects) {
            let Some(object) = change.after else {
                next.objects.remove(change.key);
                next.removed.push_back((change.key.clone(), settled));
                continue;
            };
            let known = self.objects.get(change.key).filter(|held| held.object.source == object.source);
            let since_ns = known.map_or(settled, |held| held.since_ns);
            next.objects.insert(change.key.clone(), Held { object: object.clone(), since_ns });
        }
        next.known_since_ns = self.known_since_ns.or(Some(settled));
        while next.removed.len() > MAX_REMOVED {
            next.known_since_ns = next.removed.pop_front().map(|(_, at)| at).or(next.known_since_ns);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::object::ObjectName;

    use super::*;

    fn object(name: &str, source: &str, line: u32) -> WrittenObject {
        let key = ObjectKey::Pod(ObjectName::new("demo", name));
        WrittenObject { key, file: "pods.yaml".into(), line, source: source.into() }
    }

    fn by_name(objects: &[WrittenObject]) -> SharedMap<ObjectKey, WrittenObject> {
        objects.iter().map(|object| (object.key.clone(), object.clone())).collect()
    }

    fn since(history: &History, name: &str) -> Option<i64> {
        let key = ObjectKey::Pod(ObjectName::new("demo", name));
        history.objects.get(&key).map(|held| held.since_ns - SETTLE_NS)
    }

    #[test]
    fn an_object_is_in_force_since_its_last_change_and_a_removal_is_remembered() {
        let steps = [
            ("both are new", vec![object("a", "1", 1), object("b", "1", 2)], [Some(10), Some(10)], 0),
            (
                "one is moved in its file",
                vec![object("a", "1", 9), object("b", "1", 2)],
                [Some(10), Some(10)],
                0,
            ),
            ("one is changed", vec![object("a", "2", 9), object("b", "1", 2)], [Some(30), Some(10)], 0),
            ("one is removed", vec![object("a", "2", 9)], [Some(30), None], 1),
            ("and comes back", vec![object("a", "2", 9), object("b", "1", 2)], [Some(30), Some(50)], 1),
        ];
        let mut history = History::default();
        for ((what, objects, expected, removed), now) in steps.into_iter().zip((10..).step_by(10)) {
            history = history.then(&by_name(&objects), now);
            assert_eq!([since(&history, "a"), since(&history, "b")], expected, "{what}");
            assert_eq!(history.removed.len(), removed, "{what}");
            assert_eq!(history.known_since_ns, Some(10 + SETTLE_NS), "{what}");
        }
        assert_eq!(history.removed[0].1, 40 + SETTLE_NS);
    }

    #[test]
    fn what_was_removed_long_ago_is_forgotten_and_nothing_is_known_of_the_time_before() {
        let many: Vec<WrittenObject> = (0..MAX_REMOVED).map(|at| object(&at.to_string(), "1", 1)).collect();
        let last = [object("last", "1", 1)];
        let history = History::default().then(&by_name(&many), 10).then(&by_name(&last), 20);
        assert_eq!((history.removed.len(), history.known_since_ns), (MAX_REMOVED, Some(10 + SETTLE_NS)));
        let history = history.then(&SharedMap::new(), 30);
        assert_eq!((history.removed.len(), history.known_since_ns), (MAX_REMOVED, Some(20 + SETTLE_NS)));
        assert_eq!(history.removed.back().map(|(_, at)| *at), Some(30 + SETTLE_NS));
    }
}
