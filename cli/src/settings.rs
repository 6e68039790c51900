//! Settings: connection flags that were not given on the command line, from the environment and the config files.
//!
//! [`files`]: which files there are and what they say. [`yaml`]: how a setting is written.

pub mod files;
mod store;
pub mod value;
pub mod yaml;

use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::arguments::{Declared, Entry, Given, Kind, Origin, SETTINGS, UsageError, value as text_value};
use crate::log;
use crate::surroundings::Surroundings;
use files::File;
pub use store::store;
pub use value::{default, texts, typed};

/// Our prefix of environment variables stands before Hubble's.
const PREFIXES: [&str; 2] = ["PALOMAR", "HUBBLE"];

/// Where settings come from that no flag gives.
#[derive(Debug)]
pub struct Settings {
    /// The file to write to; `None`: there is no home for one.
    pub path: Option<PathBuf>,
    /// The files that were found, the one that comes first before the others.
    pub files: Vec<File>,
}

/// A setting as it is in force, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The value, as its place has it: the environment has texts only.
    pub value: Value,
    /// `None`: the default.
    pub origin: Option<Origin>,
}

impl Settings {
    /// Finds and reads the config files. One that cannot be used is told on stderr and left out, as Hubble leaves it
    /// out without a word.
    pub fn load(given: &Given, surroundings: &mut Surroundings<'_>) -> io::Result<Self> {
        let named =
            given.text("config").map(str::to_owned).or_else(|| variable("config", surroundings).map(|v| v.1));
        let places = files::places(named.as_deref(), surroundings);
        let mut found = Vec::new();
        for place in &places.read {
            match files::read(place) {
                Ok(file) => found.extend(file),
                Err(error) => {
                    let fields =
                        [("config-file", place.to_string_lossy()), ("error", error.to_string().into())];
                    log::line(surroundings.err, log::Level::Warn, "a config file is left out", &fields)?;
                }
            }
        }
        if named.is_some() && found.is_empty() && places.read.iter().all(|place| !place.exists()) {
            let fields = [("config-file", named.unwrap_or_default().into())];
            log::line(surroundings.err, log::Level::Warn, "there is no such config file", &fields)?;
        }
        Ok(Self { path: places.write, files: found })
    }

    /// Says on stderr which config files are in use.
    pub fn tell_files(&self, surroundings: &mut Surroundings<'_>) -> io::Result<()> {
        self.files.iter().try_for_each(|file| {
            let fields = [("config-file", file.shown().into())];
            log::line(surroundings.err, log::Level::Debug, "using a config file", &fields)
        })
    }

    /// Adds to the flags of a command line what they do not say; also `more` of them than the connection's.
    pub fn complete(
        &self,
        given: &mut Given,
        more: &[&'static Declared],
        surroundings: &Surroundings<'_>,
    ) -> Result<(), UsageError> {
        for flag in SETTINGS.iter().chain(more.iter().copied()) {
            if given.has(flag.long) {
                continue;
            }
            for entry in self.entries(flag, surroundings)? {
                text_value::check(flag.kind, &entry.value).map_err(|reason| entry.refuse(reason))?;
                given.push(flag, entry.value, entry.origin);
            }
        }
        Ok(())
    }

    fn entries(
        &self,
        flag: &'static Declared,
        surroundings: &Surroundings<'_>,
    ) -> Result<Vec<Entry>, UsageError> {
        if let Some((name, value)) = variable(flag.long, surroundings) {
            let values = if flag.kind == Kind::List { words(&value) } else { vec![value] };
            let origin = Origin::Variable(name);
            return Ok(values
                .into_iter()
                .map(|value| Entry { flag, value, origin: origin.clone() })
                .collect());
        }
        let Some((file, value)) = self.in_files(flag.long) else { return Ok(Vec::new()) };
        let origin = Origin::File(file.shown());
        let texts = texts(flag.kind, value).map_err(|reason| {
            Entry { flag, value: value.to_string(), origin: origin.clone() }.refuse(reason)
        })?;
        Ok(texts.into_iter().map(|value| Entry { flag, value, origin: origin.clone() }).collect())
    }

    fn in_files(&self, key: &str) -> Option<(&File, &Value)> {
        self.files.iter().find_map(|file| Some((file, file.values.get(key)?)))
    }

    /// What is in force for a setting.
    pub fn effective(
        &self,
        flag: &'static Declared,
        given: &Given,
        surroundings: &Surroundings<'_>,
    ) -> Effective {
        if given.has(flag.long) {
            let value = typed(flag.kind, &given.list_or_text(flag));
            return Effective { value, origin: Some(Origin::Line) };
        }
        if let Some((name, value)) = variable(flag.long, surroundings) {
            let value = match flag.kind {
                Kind::List => words(&value).into(),
                _ => Value::String(value),
            };
            return Effective { value, origin: Some(Origin::Variable(name)) };
        }
        match self.in_files(flag.long) {
            Some((file, value)) => {
                Effective { value: value.clone(), origin: Some(Origin::File(file.shown())) }
            }
            None if flag.long == "config" => {
                let path = self.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
                Effective { value: Value::String(path), origin: None }
            }
            None => Effective { value: typed(flag.kind, &default(flag.long)), origin: None },
        }
    }
}

/// The values of a list in a variable: between spaces, as Hubble takes them, or between commas as on the command line.
fn words(list: &str) -> Vec<String> {
    let words = list.split(|c: char| c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The variable of a setting that is set, and its value; an empty one does not count.
fn variable(key: &str, surroundings: &Surroundings<'_>) -> Option<(String, String)> {
    let key = key.to_uppercase().replace('-', "_");
    PREFIXES.into_iter().find_map(|prefix| {
        let name = format!("{prefix}_{key}");
        let value = surroundings.variable(&name).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}
