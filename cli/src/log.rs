//! Lines on stderr that are not the answer: key=value, as other tools of this family write them.

use std::borrow::Cow;
use std::io::{self, Write};

use chrono::{SecondsFormat, Utc};
use palomar_flow::go::quote::Quoted;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Only with `--debug`.
    Debug,
    /// Something may not be as it seems.
    Warn,
}

/// Writes one line, with fields after the message.
pub fn line(
    err: &mut dyn Write,
    level: Level,
    message: &str,
    fields: &[(&str, Cow<'_, str>)],
) -> io::Result<()> {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Warn => "WARN",
    };
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    write!(err, "time={time} level={level} msg={}", Quoted(message))?;
    for (name, value) in fields {
        if value.contains(|c: char| !c.is_ascii_graphic() || c == '"' || c == '=') || value.is_empty() {
            write!(err, " {name}={}", Quoted(value))?;
        } else {
            write!(err, " {name}={value}")?;
        }
    }
    writeln!(err)
}
