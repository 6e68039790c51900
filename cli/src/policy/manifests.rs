//! Manifests as one world: what an agent would read, and every mistake at once.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use palomar_manifest::{
    Escaped, Kind, MAX_FILE_BYTES, MAX_PROBLEMS, ManifestError, ManifestObject, ObjectKey, parse,
};
use palomar_model::labels::Labels;
use palomar_model::object::ObjectName;
use palomar_model::world::{Node, World};
use palomar_policy::explain::{Index, Masquerade};

use crate::arguments::Given;

/// What to do where there are no policies to answer from.
pub const NOT_NAMED: &str =
    "where are the policies? name a directory or a file of Kubernetes YAML with --manifests";

/// How stdin is named among directories and files.
pub const STDIN: &str = "-";

/// The objects of one or more directories or files.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects.
    pub world: World,
    /// Whose address nodes put their own in place of.
    pub masquerade: Masquerade,
    places: BTreeMap<ObjectKey, Place>,
    /// Objects of kinds that are not read, by `apiVersion` and kind.
    overlooked: BTreeMap<String, usize>,
}

/// Where an object stands. Prints as `policies/web.yaml:3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// Manifests that cannot be taken. One mistake is enough: a policy that is left out could open what it closes.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error(
        "{} has no manifests (*.yaml, *.yml, *.json): no objects would mean no policies, and everything allowed",
        path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing of it is read.
    #[error(
        "{}: no objects{}; no objects would mean no policies, and everything allowed; choose from: {}",
        Escaped(.paths),
        of_other_kinds(.overlooked),
        Kind::ALL.map(Kind::name).join(", ")
    )]
    NoObjects {
        /// The directories and files.
        paths: String,
        /// What is there instead, by `apiVersion` and kind.
        overlooked: BTreeMap<String, usize>,
    },
    /// Mistakes.
    #[error(
        "{}{} in the manifests, so that no answer would be sure:\n{}",
        at_least(.0),
        counted(.0.len(), "mistake"),
        listed(.0)
    )]
    Refused(Vec<ManifestError>),
}

/// From `--manifests`, which has to be there.
pub fn from_flags(given: &Given, stdin: &mut dyn Read) -> Result<Manifests> {
    let named = named(given, stdin)?;
    named.with_context(|| NOT_NAMED)
}

/// From `--manifests`; `None` if it is not given. Without any object it is an error.
pub fn named(given: &Given, stdin: &mut dyn Read) -> Result<Option<Manifests>> {
    let paths = given.list("manifests");
    // A flag whose variable was not set must not have an agent answer in the place of files.
    if let (true, Some(entry)) = (paths.is_empty(), given.all("manifests").last()) {
        bail!(entry.refuse("empty; name a directory or a file of Kubernetes YAML"));
    }
    if paths.is_empty() {
        return Ok(None);
    }
    let masquerade = masquerade(given)?;
    let manifests = Manifests { masquerade, ..Manifests::load(&paths, stdin)? };
    if manifests.places.is_empty() {
        let Manifests { overlooked, .. } = manifests;
        let name = |path: &String| if path == STDIN { "stdin".to_owned() } else { path.clone() };
        let paths = paths.iter().map(name).collect::<Vec<_>>().join(", ");
        bail!(LoadError::NoObjects { paths, overlooked });
    }
    Ok(Some(manifests))
}

/// From `--masquerade-all`.
fn masquerade(given: &Given) -> Result<Masquerade> {
    Ok(if given.switch("masquerade-all")? { Masquerade::All } else { Masquerade::FromOutside })
}

impl Manifests {
    /// Reads directories and files, and `stdin` where one is `-`. Of a directory the files `*.yaml`, `*.yml` and `*.json`
    /// that stand directly in it and are not hidden, as an agent does.
    pub fn load<P: AsRef<Path>>(paths: &[P], stdin: &mut dyn Read) -> Result<Self, LoadError> {
        let (mut manifests, mut errors) = (Self::default(), Vec::new());
        for path in paths {
            let path = path.as_ref();
            if path == Path::new(STDIN) {
                manifests.add("stdin".to_owned(), whole(path, stdin)?, &mut errors);
                continue;
            }
            for file in files(path)? {
                manifests.add(file.display().to_string(), read(&file)?, &mut errors);
            }
        }
        if errors.is_empty() { Ok(manifests) } else { Err(LoadError::Refused(errors)) }
    }

    /// The world, prepared for questions.
    pub fn index(&self) -> Index<'_> {
        Index::new(&self.world).masquerading(self.masquerade)
    }

    /// Tells of policies of other kinds, which are in no answer.
    pub(super) fn warn_of_overlooked(&self, err: &mut dyn Write) -> io::Result<()> {
        let is_policy = |kind: &&String| kind.ends_with("NetworkPolicy");
        for kind in self.overlooked.keys().filter(is_policy) {
            let (count, kind) = (self.overlooked[kind], Escaped(kind));
            writeln!(err, "note: {count} {kind} cannot be read: what they allow or deny is in no answer")?;
        }
        Ok(())
    }

    /// Where a policy stands.
    pub fn policy(&self, name: &ObjectName) -> Option<&Place> {
        self.places.get(&ObjectKey::NetworkPolicy(name.clone()))
    }

    /// Adds an object from elsewhere; what was there under its name is replaced.
    pub(super) fn insert(&mut self, object: ManifestObject, place: Place) {
        let ManifestObject { key, object, line: _, source: _ } = object;
        self.places.insert(key, place);
        object.insert_into(&mut self.world);
    }

    /// Adds what a node says of itself to what its object says, which need not be there.
    pub(super) fn know_node(&mut self, name: String, addresses: Vec<IpAddr>) {
        let known = self.world.nodes.get(&name).map(|node| (**node).clone());
        let mut node = known.unwrap_or_else(|| Node {
            name: name.clone(),
            addresses: Vec::new(),
            labels: Labels::new(),
        });
        for address in addresses {
            if !node.addresses.contains(&address) {
                node.addresses.push(address);
            }
        }
        self.world.nodes.insert(name, Arc::new(node));
    }

    fn add(&mut self, file: String, bytes: Vec<u8>, errors: &mut Vec<ManifestError>) {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return errors.push(no_text(file, &error)),
        };
        let found = parse(&file, &text);
        errors.extend(found.errors);
        for (kind, count) in found.ignored {
            *self.overlooked.entry(kind).or_default() += count;
        }
        for ManifestObject { key, object, line, source: _ } in found.objects {
            if let Some(first) = self.places.get(&key) {
                let reason = format!("{key} stands in {first} already");
                let field = "metadata.name".to_owned();
                errors.push(ManifestError { file: file.clone(), line, field, reason, object: Some(key) });
                continue;
            }
            self.places.insert(key, Place { file: file.clone(), line });
            object.insert_into(&mut self.world);
        }
    }
}

/// `, but 2 apps/v1 Deployment, which is not read`
fn of_other_kinds(overlooked: &BTreeMap<String, usize>) -> String {
    let kinds = overlooked.iter().map(|(kind, count)| format!("{count} {}", Escaped(kind)));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    if kinds.is_empty() { kinds } else { format!(" that are read, but {kinds}") }
}

/// The file itself, or those of a directory in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_manifest(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(LoadError::Empty { path: path.to_owned() }) } else { Ok(files) }
}

fn is_manifest(path: &Path) -> bool {
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
    let is_hidden = text(path.file_name()).is_none_or(|name| name.starts_with('.'));
    !is_hidden && matches!(text(path.extension()).as_deref(), Some("yaml" | "yml" | "json"))
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if usize::try_from(length).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(unreadable(too_many(&length.to_string())));
    }
    fs::read(path).map_err(unreadable)
}

/// What of a stream comes until its end.
fn whole(path: &Path, stream: &mut dyn Read) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    stream.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(unreadable(too_many(&format!("more than {MAX_FILE_BYTES}"))));
    }
    Ok(bytes)
}

fn too_many(count: &str) -> io::Error {
    let reason = format!("{count} bytes are too many; the limit is {MAX_FILE_BYTES}");
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

/// Of a file that is no text, the line where it ceases to be.
fn no_text(file: String, error: &FromUtf8Error) -> ManifestError {
    let text = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = 1 + text.split(|byte| *byte == b'\n').skip(1).count();
    let reason = "is not UTF-8 text".to_owned();
    ManifestError {
        file,
        line: u32::try_from(line).unwrap_or(u32::MAX),
        field: String::new(),
        reason,
        object: None,
    }
}

/// Of a file not all mistakes are told.
fn at_least(errors: &[ManifestError]) -> &'static str {
    let mut of_file: BTreeMap<&str, usize> = BTreeMap::new();
    for error in errors {
        *of_file.entry(&error.file).or_default() += 1;
    }
    if of_file.values().any(|count| *count >= MAX_PROBLEMS) { "at least " } else { "" }
}

/// `1 mistake`, `2 mistakes`
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn listed(errors: &[ManifestError]) -> String {
    errors.iter().map(|error| format!("  {error}")).collect::<Vec<_>>().join("\n")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Escaped(&self.file), self.line)
    }
}
