//! Inside the agent modules have ranks: a module uses only modules of lower rank.

#![expect(clippy::unwrap_used, reason = "a test fails where a file cannot be read")]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the lowest rank to the highest, as `lib.rs` lists them.
const RANKS: &[&str] = &[
    "clock",
    "config",
    "instance",
    "durable",
    "directory",
    "events",
    "losses",
    "ring",
    "source",
    "decode",
    "enrich",
    "connections",
    "metrics",
    "identity",
    "world",
    "links",
    "enforce",
    "kernel",
    "control",
    "cluster",
    "server",
    "door",
    "tell",
    "check",
    "app",
];

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn imports(text: &str) -> impl Iterator<Item = String> {
    text.split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

#[test]
fn a_module_uses_only_modules_of_lower_rank() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let module =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let rank = |name: &str| RANKS.iter().position(|module| *module == name);
        let own =
            rank(module).unwrap_or_else(|| panic!("module {module} has no rank: give it a place in RANKS"));
        for used in imports(&fs::read_to_string(&file).unwrap()) {
            let Some(other) = rank(&used) else {
                panic!("{}: crate::{used} has no rank", relative.display())
            };
            assert!(
                other <= own,
                "{}: {module} must not use {used}, which ranks above it",
                relative.display()
            );
        }
    }
}
