//! Flags as they were given, in their order.

use super::UsageError;
use crate::time::parse_duration;

/// A flag by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Its long name, without dashes.
    pub long: String,
    /// Its short name, if it has one.
    pub short: Option<char>,
}

/// All flags of a command line with their values; a switch has the value `true` if none was given.
#[derive(Debug, Default)]
pub struct Given {
    entries: Vec<(Flag, String)>,
}

impl Flag {
    /// The error for a value that this flag refuses.
    pub fn refuse(&self, value: &str, reason: impl Into<String>) -> UsageError {
        let flag = match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        };
        UsageError::Value { value: value.to_owned(), flag, reason: reason.into() }
    }
}

impl Given {
    /// From flags in the order of the command line.
    pub fn new(entries: Vec<(Flag, String)>) -> Self {
        Self { entries }
    }

    /// All flags in the order of the command line.
    pub fn iter(&self) -> impl Iterator<Item = (&Flag, &str)> {
        self.entries.iter().map(|(flag, value)| (flag, value.as_str()))
    }

    /// Adds values from elsewhere for flags that were not given: `value` is asked with the long name of each.
    pub fn complete(&mut self, flags: &[&str], value: impl Fn(&str) -> Option<String>) {
        for long in flags
            .iter()
            .filter(|long| !self.entries.iter().any(|(flag, _)| flag.long == **long))
            .collect::<Vec<_>>()
        {
            if let Some(value) = value(long) {
                self.entries.push((Flag { long: (*long).to_owned(), short: None }, value));
            }
        }
    }

    /// The values of one flag.
    pub fn all(&self, long: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(flag, _)| flag.long == long).map(|(_, value)| value)
    }

    /// The value of a flag that counts once: its last.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.all(long).last()
    }

    /// A switch: `None` if not given.
    pub fn switch(&self, long: &str) -> Result<Option<bool>, UsageError> {
        self.parsed(long, |value| match value {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err(number_error("ParseBool", value, "invalid syntax")),
        })
    }

    /// A number.
    pub fn number(&self, long: &str) -> Result<Option<u64>, UsageError> {
        self.parsed(long, parse_number)
    }

    /// A duration; negative ones are refused.
    pub fn duration(&self, long: &str) -> Result<Option<std::time::Duration>, UsageError> {
        self.parsed(long, |value| {
            let nanos = parse_duration(value).map_err(|error| error.to_string())?;
            let nanos = u64::try_from(nanos).map_err(|_| "a negative duration".to_owned())?;
            Ok(std::time::Duration::from_nanos(nanos))
        })
    }

    /// Every value is checked, the last one counts.
    fn parsed<T>(
        &self,
        long: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        let mut last = None;
        for (flag, value) in self.iter().filter(|(flag, _)| flag.long == long) {
            last = Some(parse(value).map_err(|reason| flag.refuse(value, reason))?);
        }
        Ok(last)
    }
}

/// A decimal number; the error is Go's.
pub fn parse_number(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|_| !text.starts_with('+')).ok_or_else(|| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        number_error("ParseUint", text, if digits { "value out of range" } else { "invalid syntax" })
    })
}

fn number_error(function: &str, text: &str, reason: &str) -> String {
    format!("strconv.{function}: parsing {}: {reason}", palomar_flow::go::quote::Quoted(text))
}
