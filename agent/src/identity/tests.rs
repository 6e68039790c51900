use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palomar_model::identity::Identity;
use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::packet::Protocol;
use palomar_model::ports::NamedPort;
use palomar_model::world::{Namespace, Pod, World};
use proptest::prelude::*;

use super::numbers::{KEPT_FOR, Numbers, REMEMBERED};
use super::{InternalId, Registry};

const LONG: Duration = Duration::from_secs(20);
const HOUR: u64 = 3600;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn open(folder: &Path) -> Registry {
    let (registry, damage) = Registry::open(folder, Arc::from("default")).unwrap();
    assert!(damage.is_none(), "{damage:?}");
    registry
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod(name: &str, pairs: &[(&str, &str)]) -> Pod {
    Pod { labels: labels(pairs), ..Pod::new(ObjectName::new("np-demo", name)) }
}

fn world(pods: impl IntoIterator<Item = Pod>) -> World {
    let pods = pods.into_iter().map(|pod| (pod.name.clone(), Arc::new(pod))).collect();
    World { pods, ..World::default() }
}

fn numbers(registry: &mut Registry, world: &World, seconds: u64) -> BTreeMap<String, (u32, u32)> {
    let assigned = registry.update(world, at(seconds));
    assert_eq!(assigned.exhausted, None);
    assigned.pods.iter().map(|(name, pod)| (name.name.clone(), (pod.identity.0, pod.internal.0))).collect()
}

#[test]
fn replicas_share_a_number_and_differ_inside_where_a_policy_may_tell_them_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = open(folder.path());
    let mut host = pod("host", &[]);
    host.host_network = true;
    let mut world = world([
        pod("a", &[("app", "web"), ("pod-template-hash", "1")]),
        pod("b", &[("app", "web"), ("pod-template-hash", "1")]),
        pod("c", &[("app", "web"), ("pod-template-hash", "2")]),
        pod("d", &[("app", "db")]),
        host,
    ]);
    let given = numbers(&mut registry, &world, 0);
    assert_eq!(given["a"], given["b"]);
    assert_eq!(given["a"].0, given["c"].0);
    assert_ne!(given["a"].1, given["c"].1);
    assert_ne!(given["a"].0, given["d"].0);
    assert!(given.values().all(|(shown, _)| (256..=65_535).contains(shown)));
    assert!(given.values().all(|(_, internal)| (256..=0x7fff_ffff).contains(internal)));
    assert!(!given.contains_key("host"));

    let id = InternalId(given["c"].1);
    let (identity, shown) = registry.internal(id).unwrap();
    assert_eq!(identity.0, given["a"].0);
    assert!(shown.to_strings().contains(&"k8s:app=web".to_owned()));
    assert_eq!(registry.labels(identity), Some(shown.clone()));
    assert_eq!(registry.internals()[&id.0], (identity, shown));
    assert_eq!(registry.live().len(), 3);
    assert_eq!(registry.labels(Identity::WORLD).unwrap().to_strings(), ["reserved:world"]);
    assert_eq!(registry.labels(Identity(200)), None);
    assert_eq!(registry.list().len(), 11 + 2);

    // Another label on the namespace makes other pods of them.
    let namespace = Namespace { name: "np-demo".into(), labels: labels(&[("team", "a")]) };
    world.namespaces.insert("np-demo".into(), Arc::new(namespace));
    assert_ne!(numbers(&mut registry, &world, 1)["d"], given["d"]);
}

#[test]
fn pods_of_one_label_set_differ_inside_where_they_name_other_ports_and_still_do_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let listening = |name: &str, ports: &[(&str, u16)]| {
        let mut pod = pod(name, &[("app", "web")]);
        let named = |(name, number): &(&str, u16)| NamedPort {
            name: (*name).to_owned(),
            protocol: Protocol::Tcp,
            number: *number,
        };
        pod.named_ports = ports.iter().map(named).collect();
        pod
    };
    let pods = world([
        listening("a", &[("http", 80), ("admin", 7)]),
        listening("b", &[("admin", 7), ("http", 80)]),
        listening("c", &[("http", 81)]),
        listening("d", &[]),
    ]);
    let mut registry = open(folder.path());
    let given = numbers(&mut registry, &pods, 0);
    assert_eq!(given["a"], given["b"]);
    let inside: BTreeSet<u32> = given.values().map(|(_, internal)| *internal).collect();
    assert_eq!(inside.len(), 3);
    assert!(given.values().all(|(shown, _)| *shown == given["a"].0));
    let ports = |registry: &Registry, id: u32| {
        let facts = &registry.live()[&id];
        facts.named_ports.clone()
    };
    assert_eq!(ports(&registry, given["c"].1).iter().count(), 1);
    numbers(&mut registry, &World::default(), 10);
    drop(registry);
    let mut registry = open(folder.path());
    assert_eq!(numbers(&mut registry, &pods, 20), given);
}

#[test]
fn numbers_survive_a_restart_and_a_pod_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let full = world((0..50).map(|number| pod(&format!("p{number}"), &[("app", &number.to_string())])));
    let mut registry = open(folder.path());
    let before = numbers(&mut registry, &full, 0);
    numbers(&mut registry, &World::default(), 10);
    drop(registry);

    let mut registry = open(folder.path());
    assert!(registry.list().iter().filter(|listed| listed.identity.0 >= 256).all(|listed| !listed.is_used));
    assert_eq!(numbers(&mut registry, &full, 10 + 10 * HOUR), before, "nobody else needed them");
}

#[test]
fn a_damaged_file_is_told_and_the_generation_before_keeps_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identities.json");
    let mut registry = open(folder.path());
    let first = world([pod("a", &[("app", "web")])]);
    let before = numbers(&mut registry, &first, 0);
    assert!(registry.flush(LONG));
    numbers(&mut registry, &world([pod("a", &[("app", "web")]), pod("b", &[])]), 1);
    drop(registry);

    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (mut registry, damage) = Registry::open(folder.path(), Arc::from("default")).unwrap();
    let damage = damage.expect("half a file is damaged");
    assert!(
        damage.has_previous && damage.to_string().contains("identities.json is damaged (EOF"),
        "{damage}"
    );
    assert_eq!(fs::read(&damage.aside).unwrap(), bytes[..bytes.len() / 2]);
    assert_eq!(numbers(&mut registry, &first, 2), before);
}

#[test]
fn numbers_that_cannot_be_are_damage() {
    let table = [
        (r#"{"format":2,"identities":[],"internal":[]}"#, "format 2 is not 1"),
        (
            r#"{"format":1,"identities":[{"number":2,"labels":[],"unused_since":null}],"internal":[]}"#,
            "not between",
        ),
        (
            r#"{"format":1,"identities":[{"number":300,"labels":[],"unused_since":null},
               {"number":301,"labels":[],"unused_since":null}],"internal":[]}"#,
            "another number stands for",
        ),
    ];
    for (text, reason) in table {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("identities.json"), text).unwrap();
        let (_, damage) = Registry::open(folder.path(), Arc::from("default")).unwrap();
        assert!(damage.unwrap().reason.contains(reason), "{reason}");
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut registry = open(&state);
    fs::write(&state, "no folder").unwrap();
    let given = numbers(&mut registry, &world([pod("a", &[])]), 0);
    assert!(!registry.flush(Duration::from_millis(100)));
    let status = registry.keeping();
    assert!(status.failures > 0 && status.error.unwrap().contains("identities.json"));
    assert_eq!(numbers(&mut registry, &world([pod("a", &[])]), 1), given);
}

fn small() -> Numbers<u32> {
    Numbers::new(10, 12)
}

fn set(keys: &[u32]) -> BTreeSet<u32> {
    keys.iter().copied().collect()
}

#[test]
fn a_clash_takes_the_next_free_number_and_goes_round_at_the_end() {
    let mut numbers = small();
    assert!(numbers.update(&set(&[1, 2, 3]), |_| 11, 0).anything);
    assert_eq!([1, 2, 3].map(|key| numbers.number(&key)), [Some(11), Some(12), Some(10)]);
    assert!(!numbers.update(&set(&[1, 2, 3]), |_| 11, 5).anything, "nothing is new");
}

#[test]
fn a_number_is_given_away_after_an_hour_oldest_first_and_not_a_second_before() {
    let mut numbers = small();
    numbers.update(&set(&[1, 2, 3]), |_| 10, 0);
    numbers.update(&set(&[1, 2]), |_| 10, 100);
    numbers.update(&set(&[1]), |_| 10, 200);
    // Full: 1 is in use, 3 unused since 100, 2 since 200.
    numbers.update(&set(&[1, 4]), |_| 10, 99 + HOUR);
    assert_eq!(numbers.number(&4), None, "exhausted: never another's number");
    numbers.update(&set(&[1, 4]), |_| 10, 100 + HOUR);
    assert_eq!((numbers.number(&4), numbers.number(&3)), (Some(12), None));
    numbers.update(&set(&[1, 4, 5]), |_| 10, 150 + HOUR);
    assert_eq!(numbers.number(&5), None);
    numbers.update(&set(&[1, 4, 5]), |_| 10, 200 + HOUR);
    assert_eq!((numbers.number(&5), numbers.number(&2)), (Some(11), None));
    assert_eq!(numbers.number(&1), Some(10));
}

#[test]
fn a_number_that_is_wanted_again_is_not_given_away_in_the_same_breath() {
    let mut numbers = small();
    numbers.update(&set(&[1, 2, 3]), |_| 10, 0);
    numbers.update(&set(&[]), |_| 10, 0);
    numbers.update(&set(&[1, 2, 3, 0]), |_| 10, 2 * HOUR);
    assert_eq!([1, 2, 3, 0].map(|key| numbers.number(&key)), [Some(10), Some(11), Some(12), None]);
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_numbers_for_ever() {
    let mut numbers = small();
    numbers.update(&set(&[1, 2, 3]), |_| 10, 100 * HOUR);
    numbers.update(&set(&[]), |_| 10, 100 * HOUR);
    numbers.update(&set(&[]), |_| 10, HOUR);
    numbers.update(&set(&[4]), |_| 10, 2 * HOUR);
    assert!(numbers.number(&4).is_some());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut numbers = Numbers::new(256, 65_535);
    let many: BTreeSet<u32> = (0..10_000).collect();
    numbers.update(&many, |key| 256 + key, 0);
    numbers.update(&set(&[]), |_| 256, 1);
    assert_eq!(numbers.iter().count(), 10_000, "within the hour");
    numbers.update(&set(&[9_999]), |_| 256, 1 + HOUR);
    assert_eq!(numbers.iter().count(), REMEMBERED + 1);
    assert_eq!(numbers.number(&9_999), Some(10_255));
}

#[test]
fn exhaustion_is_told_and_the_pod_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = open(folder.path());
    let count = Identity::LAST_POD - Identity::FIRST_POD + 1;
    let full =
        world((0..count + 2).map(|number| pod(&format!("p{number:06}"), &[("n", &number.to_string())])));
    let assigned = registry.update(&full, at(0));
    let exhausted = assigned.exhausted.unwrap();
    assert_eq!(exhausted.pods.len(), 2);
    assert!(exhausted.to_string().contains("no identity is left for 2 pods, np-demo/p"), "{exhausted}");
    for name in &exhausted.pods {
        let pod = &assigned.pods[name];
        assert_eq!((pod.identity, pod.internal), (Identity::UNKNOWN, InternalId::UNKNOWN));
        assert_eq!(pod.labels.to_strings(), ["reserved:unknown"]);
    }
    let distinct: BTreeSet<_> = assigned.pods.values().map(|pod| pod.identity).collect();
    assert_eq!(distinct.len(), usize::try_from(count).unwrap() + 1);
}

/// What must hold, written as plainly as can be.
#[derive(Debug, Default)]
struct Naive {
    /// Key, number, since when unused.
    given: Vec<(u32, u32, Option<u64>)>,
}

impl Naive {
    fn update(&mut self, used: &BTreeSet<u32>, now: u64) {
        for (key, _, unused) in &mut self.given {
            *unused = if used.contains(key) { None } else { unused.or(Some(now)) };
        }
        for key in used {
            if self.given.iter().any(|(given, ..)| given == key) {
                continue;
            }
            let taken: Vec<u32> = self.given.iter().map(|(_, number, _)| *number).collect();
            let start = 10 + key % 4;
            let free = (0..8).map(|step| 10 + (start - 10 + step) % 8).find(|number| !taken.contains(number));
            let number = free.or_else(|| {
                let old = self
                    .given
                    .iter()
                    .filter(|(_, _, unused)| unused.is_some_and(|since| now - since >= KEPT_FOR.as_secs()));
                let oldest = old.min_by_key(|(_, number, unused)| (*unused, *number))?.1;
                self.given.retain(|(_, number, _)| *number != oldest);
                Some(oldest)
            });
            let Some(number) = number else { break };
            self.given.push((*key, number, None));
        }
    }
}

proptest! {
    #[test]
    fn numbers_agree_with_the_naive_book(
        steps in prop::collection::vec((prop::collection::btree_set(0_u32..20, 0..10), 0_u64..3000), 1..30)
    ) {
        let mut numbers = Numbers::new(10, 17);
        let mut naive = Naive::default();
        let mut now = 0;
        for (used, pause) in steps {
            now += pause;
            numbers.update(&used, |key| 10 + key % 4, now);
            naive.update(&used, now);
            let is: HashMap<u32, u32> = numbers.iter().map(|(number, slot)| (slot.key, number)).collect();
            let should: HashMap<u32, u32> = naive.given.iter().map(|(key, number, _)| (*key, *number)).collect();
            prop_assert_eq!(is, should);
        }
    }
}

/// A pod's namespace, name, label `app`, label of the replica, and whether it shares the node's network.
type Row = (u8, u8, u8, u8, bool);

fn pods_of(rows: &BTreeSet<Row>) -> Vec<Pod> {
    let pod = |(namespace, name, app, replica, host_network): &Row| Pod {
        labels: labels(&[("app", &app.to_string()), ("pod-template-hash", &replica.to_string())]),
        host_network: *host_network,
        ..Pod::new(ObjectName::new(format!("ns{namespace}"), format!("pod{name}")))
    };
    rows.iter().map(pod).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 3 / 16))]

    #[test]
    fn an_update_of_what_is_new_gives_the_numbers_that_one_of_everything_gives(
        steps in prop::collection::vec(
            (
                prop::collection::btree_set((0_u8..2, 0_u8..6, 0_u8..4, 0_u8..2, any::<bool>()), 0..8),
                prop::option::of(0_u8..3),
                0_u64..6_000,
            ),
            1..20,
        ),
    ) {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut quick = open(folders[0].path());
        let mut whole = open(folders[1].path());
        let mut seconds = 0;
        for (rows, label, pause) in steps {
            seconds += pause;
            let mut world = world(pods_of(&rows));
            if let Some(label) = label {
                let labels = labels(&[("team", &label.to_string())]);
                world.namespaces.insert("ns0".into(), Arc::new(Namespace { name: "ns0".into(), labels }));
            }
            whole.forget_progress();
            let is = quick.update(&world, at(seconds));
            let should = whole.update(&world, at(seconds));
            prop_assert_eq!(is.pods, should.pods);
            prop_assert_eq!(is.exhausted.is_some(), should.exhausted.is_some());
            prop_assert_eq!(quick.internals(), whole.internals());
            prop_assert_eq!(quick.live(), whole.live());
            prop_assert_eq!(quick.list(), whole.list());
        }
    }
}
