//! Runs command lines inside the test, with streams, clock and environment of its own.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use flate2::read::GzDecoder;
use palomar_cli::{Surroundings, run};

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// A command line to run.
#[derive(Debug, Default)]
pub struct Palomar {
    words: Vec<String>,
    variables: Vec<(String, String)>,
    input: String,
    on_terminal: bool,
    directory: Option<PathBuf>,
}

/// When the goldens were recorded; relative times are reckoned from here.
pub fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-22T09:00:00Z").unwrap().to_utc()
}

pub fn palomar<S: AsRef<str>>(words: &[S]) -> Palomar {
    Palomar { words: words.iter().map(|word| word.as_ref().to_owned()).collect(), ..Palomar::default() }
}

impl Palomar {
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    pub fn on_terminal(mut self) -> Self {
        self.on_terminal = true;
        self
    }

    /// In this directory; else in none.
    pub fn directory(mut self, path: &Path) -> Self {
        self.directory = Some(path.to_owned());
        self
    }

    /// Outside of a runtime.
    pub fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.run_async())
    }

    pub async fn run_async(self) -> Outcome {
        Box::pin(self.run_inside()).await
    }

    async fn run_inside(self) -> Outcome {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let variables = self.variables;
        let code = run(
            &self.words,
            &mut Surroundings {
                input: &mut Cursor::new(self.input),
                out: &mut out,
                err: &mut err,
                out_is_terminal: self.on_terminal,
                directory: self.directory.unwrap_or_else(|| PathBuf::from("/nonexistent")),
                now: now(),
                variables: &|name| {
                    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
                },
            },
        )
        .await;
        Outcome { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }
}

pub fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A fixture's text; one that ends in `.gz` is unpacked.
pub fn fixture(name: &str) -> String {
    let bytes = fs::read(fixture_path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    if fixture_path(name).extension().is_none_or(|extension| extension != "gz") {
        return String::from_utf8(bytes).unwrap();
    }
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// Compares long texts line by line, so that a failure shows the line.
pub fn assert_same(what: &str, actual: &str, wanted: &str) {
    for (at, (actual, wanted)) in actual.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(actual, wanted, "{what}, line {}", at + 1);
    }
    assert_eq!(actual.lines().count(), wanted.lines().count(), "{what}: lines");
    assert_eq!(actual, wanted, "{what}");
}

/// The words of a recorded command line, which lost its quotes: what follows the value of a flag belongs to it.
pub fn words(line: &str) -> Vec<String> {
    const SWITCHES: [&str; 12] = [
        "-4",
        "-6",
        "--ipv4",
        "--ipv6",
        "-A",
        "--all",
        "-f",
        "--follow",
        "--not",
        "--encrypted",
        "--unencrypted",
        "--print-node-name",
    ];
    let mut words: Vec<String> = Vec::new();
    let mut value_open = false;
    for part in line.split(' ') {
        let flag_before = words.last().is_some_and(|last| takes_value(last, &SWITCHES)) && !value_open;
        if flag_before {
            words.push(part.to_owned());
            value_open = true;
        } else if value_open && !part.starts_with('-') {
            let value = words.last_mut().unwrap();
            value.push(' ');
            value.push_str(part);
        } else {
            value_open = false;
            if !part.is_empty() {
                words.push(part.to_owned());
            }
        }
    }
    words
}

fn takes_value(word: &str, switches: &[&str]) -> bool {
    word.starts_with('-')
        && !word.contains('=')
        && !switches.contains(&word)
        && !word.contains("all-namespaces")
}
