use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::books::Books;
use super::folder::{Folder, Reading};
use super::manifests::{ManifestSource, StartError};
use super::{VersionedWorld, choose};

const LONG: Duration = Duration::from_secs(20);

fn pod(name: &str, app: &str) -> String {
    format!("---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{app: {app}}}\n")
}

fn policy(name: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         podSelector: {{}}\n"
    )
}

fn broken(name: &str) -> String {
    policy(name).replace("podSelector", "podSelecter")
}

/// A directory of manifests and a state directory.
struct Node {
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("manifests")).expect("an empty folder");
        Self { folder }
    }

    fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.manifests().join(name), text).expect("a file");
    }

    fn start(&self) -> ManifestSource {
        ManifestSource::start(&self.manifests(), &self.state()).expect("a source")
    }
}

fn now(source: &ManifestSource) -> Arc<VersionedWorld> {
    Arc::clone(&source.worlds().borrow())
}

/// The first snapshot that satisfies, from now on.
fn wait(source: &ManifestSource, what: &str, is_it: impl Fn(&VersionedWorld) -> bool) -> Arc<VersionedWorld> {
    let start = Instant::now();
    loop {
        let snapshot = now(source);
        if is_it(&snapshot) {
            return snapshot;
        }
        assert!(start.elapsed() < LONG, "{what}: {snapshot:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn pods(world: &VersionedWorld) -> Vec<String> {
    let app = |pod: &palomar_model::world::Pod| pod.labels.get("app").cloned().unwrap_or_default();
    world.world.pods.values().map(|pod| format!("{}={}", pod.name.name, app(pod))).collect()
}

fn policies(world: &VersionedWorld) -> Vec<&str> {
    world.world.policies.keys().map(|name| name.name.as_str()).collect()
}

fn told(world: &VersionedWorld) -> Vec<String> {
    world.refused.iter().map(|refusal| format!("{} (kept: {})", refusal.error, refusal.kept.len())).collect()
}

#[test]
fn edits_additions_and_deletions_become_new_worlds() {
    let node = Node::new();
    node.write("a.yaml", &pod("web", "one"));
    node.write(".hidden.yaml", &pod("hidden", "x"));
    node.write("notes.txt", "not yaml: [");
    fs::create_dir(node.manifests().join("sub.yaml")).unwrap();
    let source = node.start();
    let first = now(&source);
    assert_eq!((first.version, pods(&first)), (1, vec!["web=one".to_owned()]));

    node.write("a.yaml", &pod("web", "two"));
    let second = wait(&source, "an edit", |world| pods(world) == ["web=two"]);
    assert!(second.version > 1);
    assert_eq!(pods(&first), ["web=one"], "a snapshot never changes");
    node.write("b.json", r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"db"}}"#);
    wait(&source, "an addition", |world| pods(world) == ["db=", "web=two"]);
    fs::remove_file(node.manifests().join("a.yaml")).unwrap();
    wait(&source, "a deletion", |world| pods(world) == ["db="]);
    fs::write(node.manifests().join(".tmp"), pod("web", "three")).unwrap();
    fs::rename(node.manifests().join(".tmp"), node.manifests().join("c.yml")).unwrap();
    wait(&source, "a write and a rename", |world| pods(world) == ["db=", "web=three"]);
}

#[test]
fn a_broken_file_leaves_its_objects_as_they_were_even_after_a_restart() {
    let node = Node::new();
    node.write("a.yaml", &(policy("deny") + &pod("web", "one")));
    node.write("b.yaml", &pod("db", "one"));
    let source = node.start();
    node.write("a.yaml", &(broken("deny") + &pod("web", "two")));
    let refused = wait(&source, "a refusal", |world| !world.refused.is_empty());
    let reason = "spec.podSelecter: unknown field; did you mean podSelector?";
    assert!(told(&refused)[0].starts_with(&format!("a.yaml:6: {reason}")), "{:?}", told(&refused));
    assert_eq!(refused.refused[0].kept.len(), 2);
    assert_eq!((pods(&refused), policies(&refused)), (vec!["db=one".into(), "web=one".into()], vec!["deny"]));
    node.write("b.yaml", &pod("db", "two"));
    wait(&source, "other files go on", |world| pods(world) == ["db=two", "web=one"]);
    drop(source);

    let source = node.start();
    let again = now(&source);
    assert_eq!((pods(&again), policies(&again)), (vec!["db=two".into(), "web=one".into()], vec!["deny"]));
    assert_eq!(again.refused.len(), 1);
    node.write("a.yaml", &pod("web", "three"));
    let mended = wait(&source, "mended", |world| world.refused.is_empty());
    assert_eq!((pods(&mended), policies(&mended)), (vec!["db=two".into(), "web=three".into()], vec![]));
}

#[test]
fn everything_that_is_wrong_with_a_policy_is_told_while_its_last_good_state_stays() {
    let node = Node::new();
    node.write("a.yaml", &policy("deny"));
    let source = node.start();
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec:\n  \
                podSelecter: {}\n  ingress:\n  - from: [{}]\n    ports: [{port: 0}]\n";
    node.write("a.yaml", text);
    let refused = wait(&source, "a refusal", |world| !world.refused.is_empty());
    let fields: Vec<(u32, &str)> =
        refused.refused.iter().map(|refusal| (refusal.error.line, refusal.error.field.as_str())).collect();
    let expected =
        [(5, "spec.podSelecter"), (7, "spec.ingress[0].from[0]"), (8, "spec.ingress[0].ports[0].port")];
    assert_eq!(fields, expected);
    assert!(refused.refused.iter().all(|refusal| refusal.kept.len() == 1));
    assert_eq!(policies(&refused), ["deny"]);
}

#[test]
fn slices_of_a_broken_file_stay_as_they_were_even_after_a_restart() {
    let node = Node::new();
    let slice = |address: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  labels: \
             {{kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{{port: 80}}]\n\
             endpoints: [{{addresses: [{address}]}}]\n"
        )
    };
    let ends = |world: &VersionedWorld| -> Vec<String> {
        let slices = world.world.endpoint_slices.values();
        let ends = slices.flat_map(|slice| {
            slice.endpoints.iter().map(move |end| format!("{} {}", slice.service, end.address))
        });
        ends.collect()
    };
    node.write("a.yaml", &slice("10.0.0.1"));
    let source = node.start();
    assert_eq!(ends(&now(&source)), ["web 10.0.0.1"]);
    node.write("a.yaml", &slice("10.0.0.2"));
    wait(&source, "an edit", |world| ends(world) == ["web 10.0.0.2"]);
    node.write("a.yaml", &slice("fd00::1"));
    wait(&source, "a refusal", |world| !world.refused.is_empty());
    drop(source);
    let again = now(&node.start());
    assert_eq!((ends(&again), again.refused.len()), (vec!["web 10.0.0.2".to_owned()], 1));
}

#[test]
fn files_deleted_while_no_agent_ran_take_their_objects_along() {
    let node = Node::new();
    node.write("a.yaml", &policy("deny"));
    node.write("b.yaml", &pod("db", "one"));
    drop(node.start());
    fs::remove_file(node.manifests().join("a.yaml")).unwrap();
    assert!(policies(&now(&node.start())).is_empty());
}

#[test]
fn a_config_map_is_swapped_as_a_whole() {
    let node = Node::new();
    let folder = node.manifests();
    for (data, app) in [("..1", "one"), ("..2", "two")] {
        fs::create_dir(folder.join(data)).unwrap();
        fs::write(folder.join(data).join("web.yaml"), pod("web", app)).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/web.yaml", folder.join("web.yaml")).unwrap();
    let source = node.start();
    assert_eq!(pods(&now(&source)), ["web=one"]);
    symlink("..2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    wait(&source, "the swap", |world| pods(world) == ["web=two"]);
    assert!(told(&now(&source)).is_empty());
}

#[test]
fn half_a_file_is_never_read() {
    let node = Node::new();
    let whole = pod("web", "one") + &policy("deny");
    node.write("a.yaml", &whole);
    let source = node.start();
    let mut worlds = source.worlds();
    for round in 0..5 {
        let app = format!("round{round}");
        let text = pod("web", &app) + &policy("deny");
        let (head, tail) = text.split_at(text.len() / 2);
        let mut file = File::create(node.manifests().join("a.yaml")).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        file.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(policies(&worlds.borrow_and_update()), ["deny"]);
        file.write_all(tail.as_bytes()).unwrap();
        drop(file);
        let whole = wait(&source, "the whole file", |world| pods(world) == [format!("web={app}")]);
        assert_eq!((policies(&whole), told(&whole)), (vec!["deny"], vec![]));
    }
}

#[test]
fn an_empty_file_in_place_of_objects_is_refused() {
    let node = Node::new();
    node.write("a.yaml", &policy("deny"));
    let source = node.start();
    File::create(node.manifests().join("a.yaml")).unwrap();
    let refused = wait(&source, "a refusal", |world| !world.refused.is_empty());
    assert_eq!(policies(&refused), ["deny"]);
    assert!(told(&refused)[0].contains("is empty, and held objects before (1)"), "{:?}", told(&refused));
    node.write("a.yaml", "# nothing any more\n");
    wait(&source, "a comment is meant", |world| policies(world).is_empty() && world.refused.is_empty());
}

#[test]
fn what_cannot_be_read_is_refused_like_what_is_broken() {
    let node = Node::new();
    node.write("a.yaml", &policy("deny"));
    let source = node.start();
    fs::write(node.manifests().join("a.yaml"), b"\xff\xfe").unwrap();
    symlink("nowhere", node.manifests().join("b.yaml")).unwrap();
    nix::unistd::mkfifo(&node.manifests().join("c.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let large =
        OpenOptions::new().create(true).write(true).truncate(false).open(node.manifests().join("d.yaml"));
    large.unwrap().set_len(9 << 20).unwrap();
    let refused = wait(&source, "three refusals", |world| world.refused.len() == 3);
    assert_eq!(
        told(&refused),
        [
            "a.yaml: is not UTF-8 text (kept: 1)",
            "b.yaml: cannot be read: No such file or directory (os error 2) (kept: 0)",
            "d.yaml: 9437184 bytes are too many for a file; the limit is 8388608 (kept: 0)",
        ]
    );
    assert_eq!(policies(&refused), ["deny"]);
}

#[test]
fn a_missing_directory_is_never_an_empty_world() {
    let node = Node::new();
    let missing = node.folder.path().join("missing");
    let error = ManifestSource::start(&missing, &node.state()).unwrap_err();
    assert!(
        matches!(error, StartError::Directory { .. }) && error.to_string().contains("missing"),
        "{error}"
    );

    node.write("a.yaml", &policy("deny"));
    let source = node.start();
    let elsewhere = node.folder.path().join("elsewhere");
    fs::rename(node.manifests(), &elsewhere).unwrap();
    let complaining = wait(&source, "a complaint", |world| world.complaint.is_some());
    assert_eq!(policies(&complaining), ["deny"]);
    fs::create_dir(node.manifests()).unwrap();
    let complaint = |world: &VersionedWorld| world.complaint.clone().unwrap_or_default();
    let empty = wait(&source, "another complaint", |world| complaint(world).contains("replaced by an empty"));
    assert_eq!(policies(&empty), ["deny"]);
    drop(source);
    let error = ManifestSource::start(&node.manifests(), &node.state()).unwrap_err();
    assert!(matches!(error, StartError::Emptied { .. }), "{error}");

    fs::remove_dir(node.manifests()).unwrap();
    fs::rename(&elsewhere, node.manifests()).unwrap();
    let source = node.start();
    fs::rename(node.manifests(), &elsewhere).unwrap();
    wait(&source, "a complaint", |world| world.complaint.is_some());
    fs::create_dir(node.manifests()).unwrap();
    node.write("b.yaml", &policy("new"));
    let back = wait(&source, "the directory is back", |world| world.complaint.is_none());
    assert_eq!(policies(&back), ["new"]);
    node.write("b.yaml", &policy("newer"));
    wait(&source, "and watched", |world| policies(world) == ["newer"]);
    // The same directory, emptied, is meant.
    fs::remove_file(node.manifests().join("b.yaml")).unwrap();
    wait(&source, "emptied", |world| policies(world).is_empty() && world.complaint.is_none());
}

#[test]
fn a_source_is_chosen_and_a_known_one_is_not_forgotten() {
    let node = Node::new();
    let default = node.folder.path().join("default");
    assert_eq!(choose(&default, &node.state()).unwrap(), None);
    assert_eq!(choose(&node.manifests(), &node.state()).unwrap(), Some(node.manifests()));
    node.write("a.yaml", "# none\n");
    drop(node.start());
    let error = choose(&default, &node.state()).unwrap_err().to_string();
    assert!(error.contains("is not named now") && error.contains("--cluster-source none"), "{error}");
    fs::remove_dir_all(node.manifests()).unwrap();
    let error = choose(&default, &node.state()).unwrap_err().to_string();
    assert!(error.contains("is missing now"), "{error}");
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_nobody() {
    let node = Node::new();
    fs::write(node.state(), "no folder").unwrap();
    node.write("a.yaml", &pod("web", "one"));
    // It cannot be read either then, and that is told at the start.
    assert!(matches!(ManifestSource::start(&node.manifests(), &node.state()), Err(StartError::State { .. })));
    fs::remove_file(node.state()).unwrap();
    fs::create_dir_all(node.state().join("manifests.json.tmp")).unwrap();
    let source = node.start();
    node.write("a.yaml", &pod("web", "two"));
    wait(&source, "an edit", |world| pods(world) == ["web=two"]);
    while source.keeping().failures == 0 {
        std::thread::yield_now();
    }
    assert!(source.keeping().error.unwrap().contains("manifests.json"));
    fs::remove_dir(node.state().join("manifests.json.tmp")).unwrap();
    drop(source);
    assert!(fs::read_to_string(node.state().join("manifests.json")).unwrap().contains("two"));
}

/// Generous: the machine that tests run on may be busy. The figure itself is printed.
#[test]
fn an_edit_is_seen_soon() {
    let node = Node::new();
    for number in 0..200 {
        node.write(&format!("pod{number}.yaml"), &pod(&format!("pod{number}"), "one"));
    }
    for number in 0..100 {
        node.write(&format!("policy{number}.yaml"), &policy(&format!("policy{number}")));
    }
    let source = node.start();
    assert_eq!((now(&source).world.pods.len(), now(&source).world.policies.len()), (200, 100));
    let mut taken = Vec::new();
    for round in 0..15 {
        let app = format!("round{round}");
        let start = Instant::now();
        node.write("pod7.yaml", &pod("pod7", &app));
        wait(&source, "the edit", |world| pods(world).contains(&format!("pod7={app}")));
        taken.push(start.elapsed());
    }
    taken.sort();
    println!("from write to world: median {:?}, worst {:?}", taken[7], taken[14]);
    assert!(taken[7] < Duration::from_millis(500), "{taken:?}");
}

// === Books, without a disk ===

/// What is in force after each step; a step is the files' texts, `None` for an unchanged one.
fn in_force(books: &mut Books, files: &[(&str, Option<String>)]) -> (Vec<String>, Vec<String>) {
    let reading = |text: &Option<String>| text.clone().map_or(Reading::Unchanged, Reading::Text);
    let readings: BTreeMap<_, _> =
        files.iter().map(|(name, text)| ((*name).to_owned(), reading(text))).collect();
    books.update(readings);
    let force = books.in_force();
    let world =
        VersionedWorld { world: Arc::new(force.world), refused: force.refused, ..VersionedWorld::default() };
    (pods(&world), told(&world))
}

/// What becomes of a file in a step.
#[derive(Debug, Clone)]
enum Edit {
    Gone,
    /// Objects by their numbers, and whether one more is broken.
    Text(Vec<u8>, bool),
    Unreadable,
}

fn edit() -> impl Strategy<Value = Edit> {
    let objects = prop::collection::btree_set(0..6_u8, 0..4).prop_map(|all| all.into_iter().collect());
    prop_oneof![
        1 => Just(Edit::Gone),
        6 => (objects, prop::bool::weighted(0.3)).prop_map(|(objects, is_broken)| Edit::Text(objects, is_broken)),
        1 => Just(Edit::Unreadable),
    ]
}

proptest! {
    #[test]
    fn what_is_in_force_after_each_step_is_what_a_look_at_every_file_finds(
        steps in prop::collection::vec(prop::collection::btree_map(0..4_u8, edit(), 0..3), 1..20),
    ) {
        let mut books = Books::default();
        let mut there = BTreeSet::new();
        for (step, edits) in steps.into_iter().enumerate() {
            let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
            for (file, edit) in edits {
                let name = format!("{file}.yaml");
                let reading = match edit {
                    Edit::Gone => {
                        there.remove(&name);
                        continue;
                    }
                    Edit::Text(objects, is_broken) => {
                        let objects = objects.iter().map(|number| pod(&format!("pod{number}"), &format!("s{step}")));
                        let other = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n".to_owned();
                        let rest = if is_broken { broken("pod0") } else { other };
                        Reading::Text(objects.chain([rest]).collect())
                    }
                    Edit::Unreadable => Reading::Unreadable("no".to_owned()),
                };
                there.insert(name.clone());
                readings.insert(name, reading);
            }
            for name in &there {
                readings.entry(name.clone()).or_insert(Reading::Unchanged);
            }
            books.update(readings);
            prop_assert_eq!(books.in_force(), books.in_force_of_all());
        }
    }
}

#[test]
fn two_files_with_one_object_are_told_and_the_first_stands() {
    let mut books = Books::default();
    let (seen, refused) = in_force(
        &mut books,
        &[("a.yaml", Some(pod("web", "a"))), ("b.yaml", Some(pod("web", "b") + &pod("db", "b")))],
    );
    assert_eq!(seen, ["db=b", "web=a"]);
    assert_eq!(
        refused,
        [
            "b.yaml:2: metadata.name: Pod default/web stands in a.yaml:2 already, which comes first and stays in force (kept: 0)"
        ]
    );
    let (seen, refused) = in_force(&mut books, &[("b.yaml", None)]);
    assert_eq!((seen.len(), refused.len()), (2, 0), "the first is gone");
    assert_eq!(seen[1], "web=b");
}

#[test]
fn a_refused_file_keeps_what_it_names_and_yields_what_it_does_not() {
    let mut books = Books::default();
    in_force(&mut books, &[("a.yaml", Some(pod("web", "a") + &pod("db", "a")))]);
    // web moved to another file; a.yaml, which still names db, has an error.
    let text = pod("db", "new") + &broken("x");
    let (seen, refused) = in_force(&mut books, &[("a.yaml", Some(text)), ("b.yaml", Some(pod("web", "b")))]);
    assert_eq!(seen, ["db=a", "web=b"]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].ends_with("(kept: 1)"), "{refused:?}");
    // Where both name it, the first file has it.
    let text = pod("web", "new") + &broken("x");
    let (seen, refused) = in_force(&mut books, &[("a.yaml", Some(text)), ("b.yaml", None)]);
    assert_eq!(seen, ["db=a", "web=a"]);
    assert_eq!(refused.len(), 2);
}

#[test]
fn a_file_renamed_and_broken_at_once_keeps_its_objects() {
    let mut books = Books::default();
    in_force(&mut books, &[("a.yaml", Some(pod("web", "a") + &pod("db", "a")))]);
    let text = pod("web", "new") + &broken("x");
    let (seen, refused) = in_force(&mut books, &[("z.yaml", Some(text))]);
    assert_eq!(seen, ["web=a"], "db is no longer named anywhere");
    assert!(refused[0].ends_with("(kept: 1)"), "{refused:?}");
}

#[test]
fn unchanged_objects_are_shared_between_worlds() {
    let mut books = Books::default();
    in_force(&mut books, &[("a.yaml", Some(pod("web", "a") + &pod("db", "a")))]);
    let before = books.in_force().world;
    in_force(&mut books, &[("a.yaml", Some(pod("web", "a") + &pod("db", "b")))]);
    let after = books.in_force().world;
    let same: BTreeSet<bool> =
        before.pods.iter().map(|(name, pod)| Arc::ptr_eq(pod, &after.pods[name])).collect();
    assert_eq!(same.len(), 2, "one is the same value, one is not");
}

#[test]
fn a_folder_reads_a_file_again_only_when_it_changed() {
    let node = Node::new();
    node.write("a.yaml", "# one\n");
    let mut folder = Folder::new(&node.manifests());
    let mut scan = |busy: &[&str]| {
        let busy = busy.iter().map(|name| (*name).to_owned()).collect();
        folder.scan(&busy).unwrap().files.remove("a.yaml")
    };
    assert_eq!(scan(&["a.yaml"]), None, "a new file that is being written is not there yet");
    assert_eq!(scan(&[]), Some(Reading::Text("# one\n".into())));
    assert_eq!(scan(&[]), Some(Reading::Unchanged));
    // The same size, in the same tick of the clock.
    node.write("a.yaml", "# two\n");
    assert_eq!(scan(&["a.yaml"]), Some(Reading::Unchanged));
    assert_eq!(scan(&[]), Some(Reading::Text("# two\n".into())));
    fs::remove_file(node.manifests().join("a.yaml")).unwrap();
    assert_eq!(scan(&[]), None);
}

#[test]
fn paths_are_told_apart_from_their_names() {
    assert!(super::folder::is_manifest("a.yaml") && super::folder::is_manifest("b.json"));
    assert!(!super::folder::is_manifest("..data") && !super::folder::is_manifest("a.yaml~"));
    assert!(!super::folder::is_manifest(Path::new(".yaml").to_str().unwrap()));
}
