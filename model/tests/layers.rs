//! The crates are the layers: a crate uses only crates below it. Read from the manifests, so that an import
//! upwards fails here whichever file it stands in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Each crate, and the crates of ours that it may use. Tests and benches may use the same, and no more.
const ALLOWED: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("bpf", &[]),
    ("model", &[]),
    ("sample", &["model"]),
    ("policy", &["model"]),
    ("manifest", &["policy", "model"]),
    ("flow", &["proto", "model"]),
    ("transport", &["proto"]),
    ("agent", &["bpf", "manifest", "policy", "flow", "transport", "proto", "model", "sample"]),
    ("cli", &["manifest", "policy", "flow", "transport", "proto", "model"]),
    ("lab", &["agent", "bpf", "manifest", "policy", "flow", "transport", "proto", "model", "sample"]),
];

/// The crates of ours in all sections of dependencies.
fn ours(manifest: &str) -> BTreeSet<String> {
    ours_in(manifest, |section| section.contains("dependencies"))
}

/// The crates of ours in some sections.
fn ours_in(manifest: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut in_dependencies = false;
    let mut used = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_dependencies = is_wanted(line);
        } else if in_dependencies && let Some(rest) = line.strip_prefix("palomar-") {
            used.insert(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect());
        }
    }
    used
}

#[test]
fn no_crate_uses_a_crate_beside_or_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = workspace.lines().find(|line| line.starts_with("members")).unwrap();
    for (name, allowed) in ALLOWED {
        assert!(members.contains(&format!("\"{name}\"")), "{name} is no member of the workspace");
        let manifest = fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        for used in ours(&manifest) {
            assert!(
                allowed.contains(&used.as_str()),
                "crate {name} must not use {used}; it may use {allowed:?}"
            );
        }
    }
    assert_eq!(
        members.matches('"').count() / 2,
        ALLOWED.len(),
        "a crate has no place in the layers: {members}"
    );
}

#[test]
fn only_tests_and_the_lab_use_the_sample() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, _) in ALLOWED.iter().filter(|(name, _)| *name != "lab") {
        let manifest = fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        let product = ours_in(&manifest, |section| {
            section.contains("dependencies") && !section.contains("dev-dependencies")
        });
        assert!(!product.contains("sample"), "{name}: the sample is for tests and benches");
    }
}

#[test]
fn a_use_in_any_dependency_section_is_seen() {
    let manifest = "[dependencies]\npalomar-model.workspace = true\n[dev-dependencies]\npalomar-lab = { path = \"x\" }\n";
    assert_eq!(ours(manifest), BTreeSet::from(["lab".to_owned(), "model".to_owned()]));
    assert_eq!(
        ours_in(manifest, |section| section == "[dependencies]"),
        BTreeSet::from(["model".to_owned()])
    );
}
