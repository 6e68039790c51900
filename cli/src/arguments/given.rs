//! Flags as they were given, in their order.

use std::fmt;
use std::time::Duration;

use super::UsageError;
use super::declare::{Declared, Kind};
use super::value::{parse_bool, parse_number, parse_port, parse_wait};

/// Where a value comes from; prints as the place to look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Line,
    /// The environment; the name of the variable.
    Variable(String),
    /// A configuration file; its path.
    File(String),
}

/// A flag with its value; a switch has the value `true` if none was given.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The flag.
    pub flag: &'static Declared,
    /// Its value.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// All flags of a command line with their values.
#[derive(Debug, Clone, Default)]
pub struct Given {
    entries: Vec<Entry>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line => f.write_str("the command line"),
            Self::Variable(name) => write!(f, "{name} in the environment"),
            Self::File(path) => write!(f, "config file {path}"),
        }
    }
}

impl Entry {
    /// The error for a value that the flag refuses.
    pub fn refuse(&self, reason: impl Into<String>) -> UsageError {
        let (value, reason) = (self.value.clone(), reason.into());
        match &self.origin {
            Origin::Line => UsageError::Value { value, flag: self.flag.shown(), reason },
            origin => UsageError::Setting { value, key: self.flag.long, place: origin.to_string(), reason },
        }
    }
}

impl Given {
    /// Adds a flag after the others.
    pub fn push(&mut self, flag: &'static Declared, value: impl Into<String>, origin: Origin) {
        self.entries.push(Entry { flag, value: value.into(), origin });
    }

    /// All flags in the order of the command line; what comes from elsewhere follows.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whether the flag was given.
    pub fn has(&self, long: &str) -> bool {
        self.all(long).next().is_some()
    }

    /// The entries of one flag.
    pub fn all(&self, long: &str) -> impl Iterator<Item = &Entry> {
        self.iter().filter(move |entry| entry.flag.long == long)
    }

    /// The value of a flag that counts once: its last.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.all(long).last().map(|entry| entry.value.as_str())
    }

    /// The values of a flag that holds a list.
    pub fn list(&self, long: &str) -> Vec<String> {
        let values = self.all(long).flat_map(|entry| entry.value.split(','));
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// The value of a flag as one text: that of a list has all its values.
    pub fn list_or_text(&self, flag: &Declared) -> String {
        match flag.kind {
            Kind::List => self.list(flag.long).join(","),
            _ => self.text(flag.long).unwrap_or_default().to_owned(),
        }
    }

    /// A switch; off if not given.
    pub fn switch(&self, long: &str) -> Result<bool, UsageError> {
        Ok(self.parsed(long, parse_bool)?.unwrap_or(false))
    }

    /// A switch that is on if not given.
    pub fn toggle(&self, long: &str) -> Result<bool, UsageError> {
        Ok(self.parsed(long, parse_bool)?.unwrap_or(true))
    }

    /// A number.
    pub fn number(&self, long: &str) -> Result<Option<u64>, UsageError> {
        self.parsed(long, parse_number)
    }

    /// A port, or zero.
    pub fn port(&self, long: &str) -> Result<Option<u16>, UsageError> {
        self.parsed(long, parse_port)
    }

    /// A duration that is not negative.
    pub fn duration(&self, long: &str) -> Result<Option<Duration>, UsageError> {
        self.parsed(long, parse_wait)
    }

    /// Every value is checked, the last one counts.
    fn parsed<T>(
        &self,
        long: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        let mut last = None;
        for entry in self.all(long) {
            last = Some(parse(&entry.value).map_err(|reason| entry.refuse(reason))?);
        }
        Ok(last)
    }
}
