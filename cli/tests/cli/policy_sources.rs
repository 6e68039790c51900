//! Where the commands about policies read from: directories, files, several of them, and stdin.

use std::fs;

use crate::simulate::{CHANGED, Change, flows, lines};
use crate::support::{Outcome, fixture_path, palomar};

fn manifests() -> String {
    fixture_path("policy/manifests").display().to_string()
}

fn run(words: &[&str], input: &str) -> Outcome {
    palomar(&[&["policy"], words].concat()).input(input).run()
}

#[test]
fn new_policies_may_come_from_stdin_from_several_files_and_from_directories() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("flows.jsonl"), lines(&flows())).unwrap();
    fs::write(path("web.yaml"), CHANGED).unwrap();
    let batch = CHANGED.replace("name: web", "name: batch").replace("app: web", "app: batch");
    fs::create_dir(path("more")).unwrap();
    fs::write(path("more/batch.yaml"), &batch).unwrap();
    let expected = Change::new(CHANGED).run(&lines(&flows()), &[]).out.replace("NEW/new.yaml", "PLACE");
    let (manifests, flows) = (manifests(), path("flows.jsonl"));
    let with = ["simulate", "--manifests", &manifests, "--input-file", &flows];
    let (web, more) = (path("web.yaml"), path("more"));
    let both = format!("{more},{web}");
    let table: [(&str, Vec<&str>, &str, &str); 5] = [
        ("stdin", vec!["-f", "-"], CHANGED, "stdin"),
        ("a file and a directory", vec!["-f", &web, "-f", &more], "", &web),
        ("both in a list", vec!["--file", &both], "", &web),
        ("stdin and a directory", vec!["-f", "-", "-f", &more], CHANGED, "stdin"),
        ("several documents", vec!["-f", "-"], &format!("{batch}---\n{CHANGED}"), "stdin"),
    ];
    for (what, files, input, place) in table {
        let outcome = run(&[&with[..], &files].concat(), input);
        let fixtures = fixture_path("policy").display().to_string();
        let line = if what == "several documents" { 10 } else { 1 };
        let shown =
            outcome.out.replace(&fixtures, "FIXTURES").replace(&format!("{place}:{line})"), "PLACE:1)");
        assert_eq!((outcome.code, shown.as_str()), (3, expected.as_str()), "{what}: {}", outcome.err);
    }
}

#[test]
fn manifests_and_expectations_may_come_from_stdin() {
    let expectations = fixture_path("policy/expectations.yaml").display().to_string();
    let text = fs::read_to_string(&expectations).unwrap();
    let manifests = manifests();
    let wanted = run(&["test", &expectations, "--manifests", &manifests], "");
    let told = run(&["test", "-", "--manifests", &manifests], &text);
    let stdin = |outcome: &Outcome| outcome.out.replace(&expectations, "stdin");
    assert_eq!((told.code, &told.out, &told.err), (wanted.code, &stdin(&wanted), &wanted.err));

    let all = ["demo.yaml", "policies.yaml", "services.yaml"];
    let read = |name: &&str| fs::read_to_string(fixture_path("policy/manifests").join(name)).unwrap();
    let all = all.iter().map(read).collect::<Vec<_>>().join("\n---\n");
    let ask = ["explain", "--from", "np-demo/frontend", "--to", "np-demo/web-1", "--port", "8080"];
    let told = run(&[&ask[..], &["--manifests", "-"]].concat(), &all);
    let wanted = run(&[&ask[..], &["--manifests", &manifests]].concat(), "");
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert_eq!(told.out.lines().next(), wanted.out.lines().next());
    assert!(told.out.contains("(stdin:"), "{}", told.out);
}

#[test]
fn stdin_is_read_by_one_alone() {
    let manifests = manifests();
    let with = |words: &[&'static str]| [words, &["--manifests", manifests.as_str()]].concat();
    let table: [(Vec<&str>, &str); 5] = [
        (
            with(&["simulate", "-f", "-", "--input-file", "-"]),
            "--file - and --input-file - cannot be given together: stdin can be read once\n",
        ),
        (
            vec!["simulate", "-f", "-", "--manifests", "-"],
            "--manifests - and --file - cannot be given together: stdin can be read once\n",
        ),
        (with(&["simulate", "-f", "-", "-f", "-"]), "--file - can be given once only\n"),
        (
            vec!["explain", "--probes", "-", "--manifests", "-"],
            "--manifests - and --probes - cannot be given together: stdin can be read once\n",
        ),
        (
            vec!["test", "-", "--manifests", "-"],
            "--manifests - and - cannot be given together: stdin can be read once\n",
        ),
    ];
    for (words, expected) in table {
        let outcome = run(&words, CHANGED);
        assert_eq!((outcome.code, outcome.err.as_str()), (1, expected), "{words:?}");
    }
}

#[test]
fn manifests_without_any_object_are_refused_for_they_would_allow_everything() {
    let ask = ["explain", "--from", "192.0.2.1", "--to", "192.0.2.2", "--port", "1", "--manifests", "-"];
    let choices = "no objects would mean no policies, and everything allowed; choose from: Namespace, Node, Pod, \
                   Service, EndpointSlice, NetworkPolicy\n";
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    for (what, text, expected) in [
        ("nothing", String::new(), format!("stdin: no objects; {choices}")),
        ("a comment", "# none\n".to_owned(), format!("stdin: no objects; {choices}")),
        (
            "other kinds",
            format!("{deployment}---\n{deployment}"),
            format!("stdin: no objects that are read, but 2 apps/v1 Deployment; {choices}"),
        ),
    ] {
        let outcome = run(&ask, &text);
        assert_eq!((outcome.code, outcome.err.as_str()), (1, expected.as_str()), "{what}");
    }
    let manifests = manifests();
    let words = ["simulate", "-f", "-", "--manifests", &manifests, "--input-file", "/dev/null"];
    let outcome = run(&words, "");
    assert_eq!(
        (outcome.code, outcome.err.as_str()),
        (1, "--file holds no NetworkPolicy: nothing would change\n")
    );
}

#[test]
fn policies_of_other_kinds_are_told_to_be_in_no_answer() {
    let other = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web}\n";
    let text = format!("{CHANGED}{other}{other}");
    let words = ["explain", "--from", "192.0.2.1", "--to", "192.0.2.2", "--port", "1", "--manifests", "-"];
    let outcome = run(&words, &text);
    let expected =
        "note: 2 cilium.io/v2 CiliumNetworkPolicy cannot be read: what they allow or deny is in no answer\n";
    assert_eq!((outcome.code, outcome.err.as_str()), (0, expected));
    assert_eq!(run(&words, CHANGED).err, "");
}
