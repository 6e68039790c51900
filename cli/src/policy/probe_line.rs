//! One line of a file of probes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, de};

/// What a line has to be.
const FORM: &str = r#"a probe is one object, {"from":END,"to":END,"port":N,"protocol":"TCP"}"#;

/// A question as a line holds it; nothing of it is checked but its form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeLine<'a> {
    #[serde(borrow)]
    pub(super) from: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) to: Cow<'a, str>,
    /// `None`: absent or `null`.
    #[serde(default, deserialize_with = "port")]
    pub(super) port: Option<u16>,
    /// `None`: absent or `null`.
    #[serde(borrow, default)]
    pub(super) protocol: Option<Cow<'a, str>>,
}

impl<'a> ProbeLine<'a> {
    /// Reads a line, with or without its end; what is wrong with one that is no probe, and in which column.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, String> {
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err(FORM.to_owned());
        }
        serde_json::from_slice(line).map_err(|error| {
            let (text, column) = (error.to_string(), error.column());
            // A line has but one line, and its number is told beside.
            let reason = text.strip_suffix(&format!(" at line {} column {column}", error.line()));
            format!("{} (column {column})", reason.unwrap_or(&text))
        })
    }
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    struct Port;

    impl<'de> Visitor<'de> for Port {
        type Value = Option<u16>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a port, from 1 to 65535, as a number")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Option<u16>, E> {
            let port = u16::try_from(number).map(Some);
            port.map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }

        fn visit_unit<E: Error>(self) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_none<E: Error>(self) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u16>, D::Error> {
            deserializer.deserialize_u16(self)
        }
    }

    deserializer.deserialize_option(Port)
}
