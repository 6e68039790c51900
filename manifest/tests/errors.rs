//! What users are told: one golden line for each mistake.

use palomar_manifest::{MAX_FILE_BYTES, ObjectKey, parse};
use palomar_model::object::ObjectName;

fn errors(text: &str) -> Vec<String> {
    let manifest = parse("web.yaml", text);
    assert!(
        manifest.objects.is_empty() || manifest.errors.is_empty(),
        "a file is taken whole or refused whole"
    );
    manifest.errors.iter().map(ToString::to_string).collect()
}

/// Cases are separated by lines `=== sentence`; after the YAML, each expected error stands on a line `! …`.
/// `UPDATE_GOLDEN=1` writes the file anew: read the difference before you commit it.
#[test]
fn every_mistake_is_told_with_its_line_and_field() {
    let golden = include_str!("golden/errors.txt");
    let mut actual = String::new();
    for case in golden.split("=== ").skip(1) {
        let (sentence, rest) = case.split_once('\n').unwrap();
        let text: Vec<&str> = rest.lines().filter(|line| !line.starts_with("! ")).collect();
        let text = text.join("\n");
        let told: Vec<String> =
            errors(&text).into_iter().map(|error| "! ".to_owned() + &error + "\n").collect();
        assert!(!told.is_empty(), "{sentence}: nothing was told");
        actual.extend(["=== ", sentence, "\n", &text, "\n", &told.concat()]);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/errors.txt"), &actual).unwrap();
    }
    for (is, should) in actual.lines().zip(golden.lines()) {
        assert_eq!(is, should);
    }
    assert_eq!(actual.lines().count(), golden.lines().count());
}

#[test]
fn text_that_a_terminal_would_obey_is_escaped_in_errors() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    app: \"\\e[2J\\nx\"\n    \"\\u202e\": b\n";
    let told = errors(text).join("|");
    assert!(told.contains("\\u{1b}[2J\\u{a}x") && told.contains("\\u{202e}"), "{told}");
    assert!(!told.chars().any(|character| character.is_control() || character == '\u{202e}'), "{told}");
}

#[test]
fn a_broken_file_still_tells_which_objects_it_names() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: networking.k8s.io/v1\n\
                kind: NetworkPolicy\nmetadata:\n  name: b\n  namespace: ns\nspec:\n  podSelector: {\n---\n\
                apiVersion: v1\nkind: Node\nmetadata:\n  name: c\n";
    let manifest = parse("web.yaml", text);
    assert!(!manifest.errors.is_empty() && manifest.objects.is_empty());
    let expected = [
        ObjectKey::Pod(ObjectName::new("default", "a")),
        ObjectKey::NetworkPolicy(ObjectName::new("ns", "b")),
        ObjectKey::Node("c".into()),
    ];
    assert_eq!(manifest.named, expected.into());
}

#[test]
fn alias_bombs_deep_nesting_and_huge_files_are_refused_at_once() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let item = format!("*a{}", level - 1);
        let line = format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
        bomb.push_str(&line);
    }
    assert_eq!(errors(&bomb), ["web.yaml:6: more than 2000000 values in the file, aliases expanded"]);

    let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(errors(&deep)[0].contains("not YAML"), "{:?}", errors(&deep));
    let mut chain = String::from("a0: &a0 {x: 1}\n");
    for level in 1..150 {
        let line = format!("a{level}: &a{level} {{x: *a{}}}\n", level - 1);
        chain.push_str(&line);
    }
    assert!(
        errors(&chain)[0].ends_with("more than 100 mappings and lists in each other"),
        "{:?}",
        errors(&chain)
    );

    let huge = "#".repeat(MAX_FILE_BYTES + 1);
    assert_eq!(errors(&huge), ["web.yaml: 8388609 bytes are too many for a file; the limit is 8388608"]);
}

#[test]
fn a_thousand_mistakes_are_not_all_told() {
    let text = "apiVersion: v1\nkind: Pod\n---\n".repeat(1000);
    assert_eq!(errors(&text).len(), 50);
}
