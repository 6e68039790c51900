//! `palomar policy`, from manifests. After a change that is meant, `PALOMAR_BLESS=1` writes the fixtures anew.

use std::fs;

use serde_json::Value;

use crate::support::{Outcome, assert_same, fixture_path, palomar};

fn manifests() -> String {
    fixture_path("policy/manifests").display().to_string()
}

fn policy(words: &[&str]) -> Outcome {
    palomar(&[&["policy"], words, &["--manifests", &manifests()]].concat()).run()
}

fn explain(from: &str, to: &str, port: &str, rest: &[&str]) -> Outcome {
    policy(&[&["explain", "--from", from, "--to", to, "--port", port], rest].concat())
}

/// Compares a text with a fixture, the directory of the fixtures left out of it.
fn is_as_agreed(name: &str, text: &str) {
    let text = text.replace(&fixture_path("policy").display().to_string(), "FIXTURES");
    let path = fixture_path("policy").join(name);
    if std::env::var_os("PALOMAR_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_same(name, &text, &fs::read_to_string(&path).unwrap());
}

#[test]
fn an_explanation_names_the_deciding_rule_its_file_and_why_every_other_did_not_match() {
    for (name, from, to, port) in [
        ("denied", "np-demo/other", "np-demo/web-1", "8080"),
        ("allowed-by-service", "np-demo/frontend", "svc/np-demo/web", "80"),
        ("two-edits", "np-demo/batch", "10.1.0.4", "8080"),
        ("no-address", "np-demo/starting", "np-demo/web-1", "8080"),
        ("undecidable", "192.0.2.7", "np-demo/web", "80"),
        ("node", "192.168.0.1", "np-demo/web-1", "9"),
        ("nobody", "np-demo/web", "np-demo/none", "9"),
        ("no-such-port", "np-demo/batch", "svc/np-demo/web", "9"),
        ("at-a-node", "np-demo/frontend", "192.168.0.1", "30080"),
        ("at-either-node", "np-demo/batch", "192.168.0.1", "30080"),
        ("from-outside", "192.0.2.7", "198.51.100.9", "80"),
        ("slices", "np-demo/batch", "svc/np-demo/api", "443"),
    ] {
        let outcome = explain(from, to, port, &[]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{name}");
        is_as_agreed(&format!("{name}.txt"), &outcome.out);
    }
}

#[test]
fn an_explanation_in_json_begins_like_an_answer_to_a_probe() {
    let outcome = explain("np-demo/other", "np-demo/web-1", "8080", &["-o", "json"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    is_as_agreed("denied.json", &outcome.out);
    let mut explanation: Value = serde_json::from_str(&outcome.out).unwrap();
    let probe = r#"{"from":"np-demo/other","to":"np-demo/web-1","port":8080,"protocol":"TCP"}"#;
    let answer: Value = serde_json::from_str(&probes(&[probe]).out).unwrap();
    let fields = explanation.as_object_mut().unwrap();
    fields.retain(|name, _| answer.get(name).is_some());
    assert_eq!(explanation, answer);
}

#[test]
fn the_proposed_change_makes_it_allowed_when_it_is_put_in_the_place_of_what_it_changes() {
    for (from, to) in [("np-demo/other", "np-demo/web-1"), ("np-demo/batch", "np-demo/web-2")] {
        let outcome = explain(from, to, "8080", &["-o", "json"]);
        let explanation: Value = serde_json::from_str(&outcome.out).unwrap();
        assert_eq!(explanation["verdict"], "denied");
        let changed = explanation["change"]["yaml"].as_str().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let demo = fixture_path("policy/manifests/demo.yaml");
        fs::copy(demo, folder.path().join("demo.yaml")).unwrap();
        let policies = fs::read_to_string(fixture_path("policy/manifests/policies.yaml")).unwrap();
        let is_changed = |document: &str| {
            let name = document.lines().find(|line| line.starts_with("metadata:")).unwrap();
            let name = name.split("name: ").nth(1).unwrap().split(',').next().unwrap();
            changed.contains(&format!("  name: {name}\n"))
        };
        let kept: Vec<&str> = policies.split("---\n").filter(|document| !is_changed(document)).collect();
        fs::write(folder.path().join("policies.yaml"), [&kept[..], &[changed]].concat().join("---\n"))
            .unwrap();
        let directory = folder.path().display().to_string();
        let words =
            ["policy", "explain", "--from", from, "--to", to, "--port", "8080", "--manifests", &directory];
        let after = palomar(&words).run();
        assert!(
            after.out.starts_with(&format!("{from} -> {to}, TCP 8080: allowed\n")),
            "{}{}",
            after.out,
            after.err
        );
    }
}

fn probes(lines: &[&str]) -> Outcome {
    let words = ["policy", "explain", "--probes", "-", "--manifests", &manifests()];
    palomar(&words).input(&lines.join("\n")).run()
}

#[test]
fn each_probe_has_an_answer_of_one_line_in_the_form_that_was_agreed() {
    let answers = probes(&[
        r#"{"from":"np-demo/frontend","to":"np-demo/web-1","port":8080,"protocol":"TCP"}"#,
        "",
        r#"{"to":"10.1.0.1","from":"np-demo/other","port":8080}"#,
        r#"{"from":"192.0.2.7","to":"10.96.0.1","port":80,"protocol":"tcp"}"#,
        r#"{"from":"np-demo/frontend","to":"np-demo/web-1","protocol":"ICMP"}"#,
    ]);
    assert_eq!((answers.code, answers.err.as_str()), (0, ""));
    let lines: Vec<&str> = answers.out.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"from":"np-demo/frontend","to":"np-demo/web-1","port":8080,"protocol":"TCP","verdict":"allowed","ingress":{"verdict":"allowed","isolated":true,"by":[{"kind":"NetworkPolicy","namespace":"np-demo","name":"web","rule":0}]},"egress":{"verdict":"allowed","isolated":false,"by":[]},"missing":[]}"#,
            r#"{"from":"np-demo/other","to":"10.1.0.1","port":8080,"protocol":"TCP","verdict":"denied","ingress":{"verdict":"denied","isolated":true,"by":[{"kind":"NetworkPolicy","namespace":"np-demo","name":"web"}]},"egress":{"verdict":"allowed","isolated":false,"by":[]},"missing":[]}"#,
            r#"{"from":"192.0.2.7","to":"10.96.0.1","port":80,"protocol":"TCP","verdict":"undecidable","ingress":{"verdict":"undecidable","isolated":true,"by":[]},"egress":{"verdict":"allowed","isolated":false,"by":[]},"missing":["the source address that pods behind service np-demo/web see: nodes may have replaced it by their own"]}"#,
            r#"{"from":"np-demo/frontend","to":"np-demo/web-1","port":null,"protocol":"ICMP","verdict":"denied","ingress":{"verdict":"denied","isolated":true,"by":[{"kind":"NetworkPolicy","namespace":"np-demo","name":"web"}]},"egress":{"verdict":"allowed","isolated":false,"by":[]},"missing":[]}"#,
        ]
    );
    for line in lines {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn a_line_that_is_no_probe_is_answered_by_its_error_and_the_rest_is_answered_all_the_same() {
    let good = r#"{"from":"np-demo/frontend","to":"np-demo/web-1","port":8080}"#;
    let table = [
        ("{", "EOF while parsing an object"),
        (r#"{"from":"np-demo/frontend","port":1}"#, "missing field `to`"),
        (r#"{"from":"a","to":"b","port":1,"prot":"TCP"}"#, "unknown field `prot`"),
        (
            r#"{"from":"a","to":"b","port":65536}"#,
            "invalid value: integer `65536`, expected a port, from 1 to 65535, as a number (column 33)",
        ),
        (r#"{"from":"a","to":"b","port":"80"}"#, "expected a port, from 1 to 65535, as a number (column 32)"),
        (r#"{"from":"a","to":"b","port":80.5}"#, "expected a port, from 1 to 65535, as a number (column 32)"),
        (r#"["np-demo/frontend","np-demo/web-1",8080]"#, "a probe is one object"),
        ("garbage", "a probe is one object"),
        (r#"{"from":"10.0.0.0/8","to":"b","port":1}"#, "names no end of a connection"),
        (r#"{"from":"a","to":"b","port":0}"#, "port 0 is none"),
        (r#"{"from":"a","to":"b"}"#, "TCP needs a port"),
        (r#"{"from":"a","to":"b","port":1,"protocol":"ICMP"}"#, "ICMP has no ports"),
        (
            r#"{"from":"a","to":"b","port":1,"protocol":"quic"}"#,
            "unknown protocol \\\"quic\\\"; choose from: TCP",
        ),
        (r#"{"from":"A B","to":"b","port":1}"#, "names no end of a connection"),
    ];
    for (bad, reason) in table {
        let answers = probes(&[good, bad, good]);
        assert_eq!(answers.code, 1, "{bad}");
        assert!(answers.err.starts_with("line 2: a probe could not be read: "), "{}", answers.err);
        let lines: Vec<&str> = answers.out.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, lines[2]), "{bad}");
        assert!(lines[1].starts_with(r#"{"line":2,"error":""#) && lines[1].contains(reason), "{}", lines[1]);
    }
}

#[test]
fn a_mark_of_byte_order_and_ends_of_lines_of_another_system_are_no_part_of_probes() {
    let good = r#"{"from":"np-demo/frontend","to":"np-demo/web-1","port":8080}"#;
    let plain = probes(&[good, good]);
    let other = probes(&[&format!("\u{feff}{good}\r"), &format!("{good}\r\n")]);
    assert_eq!((other.code, other.out), (0, plain.out));
}

#[test]
fn the_first_line_that_is_no_probe_is_told_with_its_file_and_the_others_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probes").display().to_string();
    fs::write(&file, "\n{\n\n[]\n").unwrap();
    let outcome = policy(&["explain", "--probes", &file]);
    let expected = format!(
        "{file}:2: a probe could not be read: EOF while parsing an object (column 1); and 1 more could not be, \
         as their answers say\n"
    );
    assert_eq!((outcome.code, outcome.err), (1, expected));
}

#[test]
fn expectations_come_out_as_lines_as_json_and_as_junit() {
    let file = fixture_path("policy/expectations.yaml").display().to_string();
    for (format, name) in [("text", "test.txt"), ("json", "test.json"), ("junit", "test.xml")] {
        let folder = tempfile::tempdir().unwrap();
        let junit = folder.path().join("junit.xml").display().to_string();
        let outcome = policy(&["test", &file, "-o", format, "--junit", &junit]);
        assert_eq!(
            (outcome.code, outcome.err.as_str()),
            (3, "1 of 4 expectations does not hold\n"),
            "{format}"
        );
        is_as_agreed(name, &outcome.out);
        is_as_agreed("test.xml", &fs::read_to_string(&junit).unwrap());
    }
}

#[test]
fn expectations_that_all_hold_end_with_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("good.yaml");
    fs::write(&file, "- {from: np-demo/frontend, to: np-demo/web-1, port: 8080, expect: allowed}\n").unwrap();
    let outcome = policy(&["test", &file.display().to_string()]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    assert_eq!(outcome.out, "ok    np-demo/frontend -> np-demo/web-1, TCP 8080: allowed\n");
}

#[test]
fn what_is_missing_or_wrong_on_the_line_is_told_with_the_choices() {
    let manifests = manifests();
    let ends = ["--from", "np-demo/other", "--to", "np-demo/web-1"];
    let with = ["explain", "--manifests", &manifests];
    let table: [(&[&str], &str); 14] = [
        (
            &["explain", "--from", "a", "--to", "b", "--port", "1"],
            "where are the policies? name a directory or a file",
        ),
        (&["explain"], "who connects to whom? name both with --from and --to"),
        (&["explain", "--from", "a"], "--to is missing: a pod or service"),
        (&["explain", "--form", "a"], "unknown flag: --form\n\nDid you mean this?\n\t--from\n"),
        (
            &[&with[..], &ends, &["--port", "1", "-o", "yaml"]].concat(),
            "unknown output format: yaml; choose from: text, json",
        ),
        (
            &[&with[..], &["--probes", "-", "-o", "text"]].concat(),
            "unknown output format for --probes: text; choose from: json",
        ),
        (
            &["explain", "--manifests", &manifests, "--to", "b", "--port", "1"],
            "--from is missing: a pod or service",
        ),
        (
            &["explain", "--manifests", &manifests, "--from", "A", "--to", "b", "--port", "1"],
            "\"A\" names no end",
        ),
        (&[&["explain", "--manifests", &manifests][..], &ends].concat(), "--port: TCP needs a port"),
        (
            &[&["explain", "--manifests", &manifests, "--port", "0"][..], &ends].concat(),
            "--port: port 0 is none",
        ),
        (
            &[&["explain", "--manifests", &manifests, "--port", "x"][..], &ends].concat(),
            "not a port; choose from: 1 to 65535",
        ),
        (
            &["explain", "--manifests", &manifests, "--probes", "-", "--port", "1"],
            "--port and --probes cannot be given together",
        ),
        (
            &["explain", "--manifests", "/nonexistent", "--from", "a", "--to", "b", "--port", "1"],
            "cannot read /nonexistent",
        ),
        (&["test", "--manifests", &manifests], "missing argument: a file of expectations"),
    ];
    for (words, expected) in table {
        let outcome = palomar(&[&["policy"], words].concat()).run();
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{words:?}");
        assert!(outcome.err.contains(expected), "{words:?}: {}", outcome.err);
    }
}

/// Pods `a` (two families), `b` (two families) and `c` (no address yet); every pod is isolated in egress, `b` lets a block in.
const TWO_FAMILIES: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: a}}\nspec: {}\nstatus: {podIPs: \
    [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b, labels: {app: b}}\nspec: \
    {}\nstatus: {podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: c, \
    labels: {app: c}}\nspec: {}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: \
    out}\nspec: {podSelector: {}, policyTypes: [Egress]}\n---\napiVersion: networking.k8s.io/v1\nkind: \
    NetworkPolicy\nmetadata: {name: in}\nspec:\n  podSelector: {matchLabels: {app: b}}\n  ingress:\n  - from: \
    [{ipBlock: {cidr: 10.0.0.0/24}}]\n";

#[test]
fn ways_of_one_kind_are_told_once_with_both_ends_and_a_change_that_is_not_proposed_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml").display().to_string();
    fs::write(&file, TWO_FAMILIES).unwrap();
    let ask = |from: &str, to: &str| {
        let words = ["policy", "explain", "--manifests", &file, "--from", from, "--to", to, "--port", "1"];
        palomar(&words).run().out.replace(&file, "FILE")
    };
    let both_families = ask("a", "c");
    assert!(both_families.starts_with("a -> c, TCP 1: denied\n"), "{both_families}");
    let same =
        "a (10.0.0.1) -> default/c, TCP 1: denied\n  and the same from default/a (fd00::1) to default/c\n";
    assert!(both_families.contains(same), "{both_families}");
    let open = ask("c", "b");
    let end = "\nNo change is proposed while this is not known:\n  the address of pod default/c, which an ipBlock asks for\n";
    assert!(open.starts_with("c -> b, TCP 1: denied\n") && open.ends_with(end), "{open}");
}

#[test]
fn a_file_that_is_no_text_is_told_with_the_line_and_so_is_that_not_all_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml").display().to_string();
    let ask = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        let words = ["--from", "192.0.2.1", "--to", "192.0.2.2", "--port", "1"];
        let told = palomar(&[&["policy", "explain", "--manifests", &file][..], &words].concat()).run();
        assert_eq!((told.code, told.out.as_str()), (1, ""));
        told.err.replace(&file, "FILE")
    };
    let so = "in the manifests, so that no answer would be sure:\n";
    assert_eq!(ask(b"# one\n# caf\xe9\n"), format!("1 mistake {so}  FILE:2: is not UTF-8 text\n"));
    let none = "kind: NetworkPolicy\n---\n";
    assert!(ask(none.repeat(49).as_bytes()).starts_with(&format!("49 mistakes {so}")));
    assert!(ask(none.repeat(51).as_bytes()).starts_with(&format!("at least 50 mistakes {so}")));
}

#[test]
fn manifests_with_a_mistake_are_refused_whole_and_every_mistake_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().display().to_string();
    let ask = || {
        let ends = ["--from", "192.0.2.1", "--to", "192.0.2.2", "--port", "1"];
        palomar(&[&["policy", "explain", "--manifests", &directory][..], &ends].concat()).run()
    };
    let empty = ask();
    assert!(empty.err.contains("has no manifests (*.yaml, *.yml, *.json)"), "{}", empty.err);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    fs::write(folder.path().join("a.yaml"), pod).unwrap();
    fs::write(folder.path().join("b.yml"), pod).unwrap();
    fs::write(
        folder.path().join("c.json"),
        r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p"},"spec":{"podSelectr":{}}}"#,
    )
    .unwrap();
    fs::write(folder.path().join(".hidden.yaml"), "]").unwrap();
    fs::write(folder.path().join("notes.txt"), "]").unwrap();
    let refused = ask();
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    let told = refused.err.replace(&directory, "DIR");
    assert_eq!(
        told,
        "2 mistakes in the manifests, so that no answer would be sure:\n  \
         DIR/b.yml:1: metadata.name: Pod default/a stands in DIR/a.yaml:1 already\n  \
         DIR/c.json:1: spec.podSelectr: unknown field; did you mean podSelector? (known: podSelector, policyTypes, \
         ingress, egress)\n"
    );
}

#[test]
fn expectations_with_mistakes_are_told_with_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    let table = [
        ("", "holds no expectations"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
            "bad.yaml:1: a Kubernetes object, where a list of expectations belongs; name it with --manifests",
        ),
        ("expectation: []\n", "bad.yaml:1: expectation: unknown field (known: expectations)"),
        ("- {from: a, to: b, port: 1}\n", "bad.yaml:1: [0]: missing field `expect`"),
        ("- from: a\n  to: B\n  port: 1\n  expect: allowed\n", "bad.yaml:2: [0].to: \"B\" names no end"),
        ("- {from: a, to: b, expect: allowed}\n", "[0].port: missing: TCP needs one"),
        ("- {from: a, to: b, port: 70000, expect: allowed}\n", "[0].port: 70000 is not a port (1–65535)"),
        ("- {from: a, to: b, port: 1, protocol: ICMP, expect: allowed}\n", "[0].port: ICMPv4 has no ports"),
        (
            "- {from: a, to: b, port: 1, protocol: tcp, expect: allowed}\n",
            "[0].protocol: \"tcp\" is not a protocol",
        ),
        ("- {from: a, to: b, port: 1, expect: yes}\n", "[0].expect: must be a string, not a boolean"),
        (
            "- {from: a, to: b, port: 1, expect: open}\n",
            "[0].expect: \"open\" is no verdict (known: allowed, denied, undecidable)",
        ),
        ("- {from: a, to: b, port: 1, expct: open}\n", "[0].expct: unknown field; did you mean expect?"),
    ];
    for (text, expected) in table {
        fs::write(&file, text).unwrap();
        let outcome = policy(&["test", &file.display().to_string()]);
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{text}");
        assert!(outcome.err.contains(expected), "{text}: {}", outcome.err);
    }
}
