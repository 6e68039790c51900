//! What a team expects of its policies, as YAML.
//!
//! ```yaml
//! expectations:
//! - name: the frontend may ask web    # may be left out
//!   from: shop/front
//!   to: shop/web
//!   port: 8080
//!   protocol: TCP                     # may be left out
//!   expect: allowed                   # or denied, undecidable
//! ```
//!
//! The list may stand without `expectations` as well.

use palomar_model::packet::Protocol;
use palomar_policy::explain::{End, InvalidEnd, Question, Verdict};
use serde::Deserialize;

use crate::MAX_FILE_BYTES;
use crate::de;
use crate::error::{ManifestError, Problem, quoted};
use crate::fields::{At, Known, Problems, choices};
use crate::load::{self, MAX_PROBLEMS};
use crate::syntax;
use crate::tree::{Node, Value};

const ROOT: Known<'_> = Known::read(&["expectations"]);
const VERDICTS: [Verdict; 3] = [Verdict::Allowed, Verdict::Denied, Verdict::Undecidable];

/// One expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// What the team calls it; `None` where it has no name.
    pub name: Option<String>,
    /// The connection.
    pub question: Question,
    /// Its ends as they were written.
    pub ends: (String, String),
    /// What is to be answered.
    pub expect: Verdict,
    /// The line that it begins on, from 1.
    pub line: u32,
}

/// An expectation before it is checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    name: Option<String>,
    from: String,
    to: String,
    port: Option<i64>,
    protocol: Option<String>,
    expect: String,
}

/// Reads the text of a file of expectations, in their order; or everything that is wrong with it, which includes that
/// there are none. `file` is its name in errors.
pub fn parse(file: &str, text: &str) -> Result<Vec<Expectation>, Vec<ManifestError>> {
    let (mut found, mut problems) = (Vec::new(), Problems::default());
    if text.len() > MAX_FILE_BYTES {
        let reason = format!("{} bytes are too many for a file; the limit is {MAX_FILE_BYTES}", text.len());
        problems.push(Problem::new(0, "", reason));
    } else {
        for document in load::load(text) {
            let is_broken = !document.problems.is_empty();
            document.problems.into_iter().for_each(|problem| problems.push(problem));
            if !is_broken {
                read(&document.root, &mut found, &mut problems);
            }
        }
    }
    let Problems(mut problems) = problems;
    if found.is_empty() && problems.is_empty() {
        problems.push(Problem::new(0, "", "holds no expectations"));
    }
    if problems.is_empty() {
        return Ok(found);
    }
    problems.sort_by_key(|problem| problem.line);
    problems.truncate(MAX_PROBLEMS);
    let error = |Problem { line, field, reason }| ManifestError {
        file: file.to_owned(),
        line,
        field,
        reason,
        object: None,
    };
    Err(problems.into_iter().map(error).collect())
}

fn read(root: &Node, found: &mut Vec<Expectation>, problems: &mut Problems) {
    let at = At::new(root, "");
    let items = match &root.value {
        Value::Seq(_) => at.items(problems),
        Value::Null => Vec::new(),
        Value::Map(_) if root.field("apiVersion").is_some() && root.field("kind").is_some() => {
            problems.add(
                &at,
                "a Kubernetes object, where a list of expectations belongs; name it with --manifests",
            );
            Vec::new()
        }
        Value::Map(entries) => {
            for (key, _) in entries.iter().filter(|(key, _)| &*key.text != "expectations") {
                let reason = format!("unknown field {}", choices(ROOT.read));
                problems.push(Problem::new(key.line, key.text.to_string(), reason));
            }
            let list = at.fields(problems, ROOT).and_then(|fields| fields.get("expectations"));
            list.map(|at| at.items(problems)).unwrap_or_default()
        }
        _ => {
            problems.add(&at, "must be a list of expectations, or a mapping that holds one");
            Vec::new()
        }
    };
    for item in items {
        match de::read::<Draft>(item.node, &item.path) {
            Ok(draft) => found.extend(check(draft, &item, problems)),
            Err(problem) => problems.push(problem),
        }
    }
}

fn check(draft: Draft, item: &At<'_>, problems: &mut Problems) -> Option<Expectation> {
    let Draft { name, from, to, port, protocol, expect } = draft;
    let ends = (end(&from), end(&to));
    let protocol = protocol.as_deref().map_or(Ok(Protocol::Tcp), syntax::protocol);
    let port = match &protocol {
        Ok(protocol) => checked_port(port, *protocol),
        Err(_) => Ok(None),
    };
    let expect = verdict(&expect);
    let mut refuse = |field: &str, reason: String| {
        let line = item.node.field(field).map_or(item.node.line, |node| node.line);
        problems.push(Problem::new(line, format!("{}.{field}", item.path), reason));
    };
    match (ends, protocol, port, expect) {
        ((Ok(own), Ok(its)), Ok(protocol), Ok(port), Ok(expect)) => Some(Expectation {
            name,
            question: Question { from: own, to: its, protocol, port },
            ends: (from, to),
            expect,
            line: item.node.line,
        }),
        ((own, its), protocol, port, expect) => {
            let reasons = [
                ("from", own.err()),
                ("to", its.err()),
                ("protocol", protocol.err()),
                ("port", port.err()),
                ("expect", expect.err()),
            ];
            for (field, reason) in reasons {
                if let Some(reason) = reason {
                    refuse(field, reason);
                }
            }
            None
        }
    }
}

fn end(text: &str) -> Result<End, String> {
    text.parse().map_err(|error: InvalidEnd| error.to_string())
}

fn checked_port(port: Option<i64>, protocol: Protocol) -> Result<Option<u16>, String> {
    match (port, protocol.has_ports()) {
        (None, true) => Err(format!("missing: {protocol} needs one")),
        (None, false) => Ok(None),
        (Some(_), false) => Err(format!("{protocol} has no ports; leave it out")),
        (Some(written), true) => {
            let number = u16::try_from(written).ok().filter(|number| *number > 0);
            number.map(Some).ok_or_else(|| format!("{written} is not a port (1–65535)"))
        }
    }
}

fn verdict(text: &str) -> Result<Verdict, String> {
    let found = VERDICTS.into_iter().find(|verdict| verdict.name() == text);
    let unknown = || format!("{} is no verdict {}", quoted(text), choices(&VERDICTS.map(Verdict::name)));
    found.ok_or_else(unknown)
}
