//! Compiles every `c/*.bpf.c` with clang into `OUT_DIR`, and writes `objects.rs` there: one aligned constant an object.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// The oldest clang that is tried with these programs.
const OLDEST: u32 = 14;
/// Looked for in this order when `PALOMAR_CLANG` is not set.
const NAMES: [&str; 7] = ["clang", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"];
const FLAGS: [&str; 7] = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-nostdinc", "-Wall"];

fn main() {
    println!("cargo::rerun-if-changed=c");
    println!("cargo::rerun-if-env-changed=PALOMAR_CLANG");
    println!("cargo::rerun-if-env-changed=PATH");
    if let Err(message) = build() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let clang = clang()?;
    // For tests that compile programs of others.
    println!("cargo::rustc-env=PALOMAR_BUILT_WITH={clang}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    let mut constants = String::new();
    for source in sources(Path::new("c"))? {
        let name = source.file_name().and_then(|n| n.to_str()).unwrap_or_default().replace(".bpf.c", "");
        let object = out.join(format!("{name}.bpf.o"));
        compile(&clang, &source, &object)?;
        writeln!(
            constants,
            "#[allow(dead_code)]\npub static {}: &[u8] = aya::include_bytes_aligned!(concat!(env!(\"OUT_DIR\"), \"/{name}.bpf.o\"));",
            name.to_uppercase()
        )
        .map_err(|error| error.to_string())?;
    }
    fs::write(out.join("objects.rs"), constants).map_err(|error| format!("cannot write objects.rs: {error}"))
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut sources: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(".bpf.c")))
        .collect();
    sources.sort();
    Ok(sources)
}

fn compile(clang: &str, source: &Path, object: &Path) -> Result<(), String> {
    let output = Command::new(clang)
        .args(FLAGS)
        .arg("-Werror")
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| format!("cannot run {clang}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{clang} refuses {}:\n{}", source.display(), String::from_utf8_lossy(&output.stderr)))
}

/// The compiler to use: what `PALOMAR_CLANG` names, else the first of [`NAMES`] that is new enough.
fn clang() -> Result<String, String> {
    if let Ok(named) = env::var("PALOMAR_CLANG") {
        return match version(&named) {
            Some(version) if version >= OLDEST => Ok(named),
            Some(version) => {
                Err(format!("PALOMAR_CLANG={named} is clang {version}; {OLDEST} or later is needed"))
            }
            None => Err(format!("PALOMAR_CLANG={named} cannot be run as a clang")),
        };
    }
    let found: Vec<(&str, u32)> = NAMES.iter().filter_map(|name| Some((*name, version(name)?))).collect();
    if let Some((name, _)) = found.iter().find(|(_, version)| *version >= OLDEST) {
        return Ok((*name).to_owned());
    }
    let too_old: Vec<String> =
        found.iter().map(|(name, version)| format!(" ({name} is only {version})")).collect();
    let too_old = too_old.concat();
    Err(format!(
        "no clang {OLDEST} or later was found in PATH{too_old}; it compiles the BPF programs.\n\
         Install it with: apt-get install --no-install-recommends clang-{OLDEST}\n\
         or name one with PALOMAR_CLANG=/path/to/clang"
    ))
}

/// The major version of a clang; `None` where it cannot be run or is something else.
fn version(clang: &str) -> Option<u32> {
    let output = Command::new(clang).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let after = text.split_once("clang version ")?.1;
    after.split('.').next()?.trim().parse().ok()
}
