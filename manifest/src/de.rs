//! Trees through serde, with the path and line of whatever does not fit.

use std::collections::HashSet;
use std::fmt;
use std::ptr;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::Problem;
use crate::fields::{Problems, unknown_field};
use crate::load::MAX_PROBLEMS;
use crate::tree::{Key, Node, Value};

/// Reads a node as a type whose unknown fields are errors. The path of a problem begins with `path`.
pub(crate) fn read<T: de::DeserializeOwned>(node: &Node, path: &str) -> Result<T, Problem> {
    T::deserialize(Reader { node, skipped: &Skipped::default() })
        .map_err(|error| error.into_problem(node, path))
}

/// Reads a node as such a type, every field of which may be absent: what does not fit is noted and left out, and the rest
/// is read. `None` where nothing can be told of the rest.
pub(crate) fn read_leaving_out<T: de::DeserializeOwned>(
    node: &Node,
    path: &str,
    problems: &mut Problems,
) -> Option<(T, Skipped)> {
    let mut skipped = Skipped::default();
    // Serde ends at the first mismatch, so it begins anew without what did not fit.
    while skipped.0.len() < MAX_PROBLEMS {
        match T::deserialize(Reader { node, skipped: &skipped }) {
            Ok(read) => return Some((read, skipped)),
            Err(error) => {
                let culprit = error.culprit;
                problems.push(error.into_problem(node, path));
                skipped.0.insert(culprit?);
            }
        }
    }
    None
}

/// Values that did not fit, by where they lie in memory: one that stands in two places by an alias is one.
#[derive(Debug, Default)]
pub(crate) struct Skipped(HashSet<*const Node>);

/// What did not fit, gathering its path on the way out.
#[derive(Debug)]
struct Mismatch {
    line: Option<u32>,
    path_backwards: Vec<String>,
    reason: String,
    /// The innermost value that holds it and that the rest can be read without; `None`: the root alone holds it.
    culprit: Option<*const Node>,
}

#[derive(Debug, Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    skipped: &'a Skipped,
}

struct Entries<'a> {
    left: std::slice::Iter<'a, (Key, Node)>,
    skipped: &'a Skipped,
    current: Option<&'a (Key, Node)>,
}

struct Items<'a> {
    left: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    skipped: &'a Skipped,
}

// === impl Skipped ===

impl Skipped {
    pub(crate) fn has(&self, node: &Node) -> bool {
        self.0.contains(&ptr::from_ref(node))
    }
}

// === impl Mismatch ===

impl Mismatch {
    fn inside(mut self, line: u32, step: String, node: &Node) -> Self {
        self.line.get_or_insert(line);
        self.culprit.get_or_insert(ptr::from_ref(node));
        self.path_backwards.push(step);
        self
    }

    fn into_problem(self, root: &Node, path: &str) -> Problem {
        let Self { line, mut path_backwards, reason, culprit: _ } = self;
        path_backwards.reverse();
        Problem::new(line.unwrap_or(root.line), path.to_owned() + &path_backwards.concat(), reason)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { line: None, path_backwards: Vec::new(), reason: message.to_string(), culprit: None }
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let (found, advice) = match unexpected {
            de::Unexpected::Unit | de::Unexpected::Option => ("nothing", ""),
            de::Unexpected::Bool(_) => ("a boolean", "; put it in quotes if it is meant as a string"),
            de::Unexpected::Signed(_) | de::Unexpected::Unsigned(_) | de::Unexpected::Float(_) => {
                ("a number", "; put it in quotes if it is meant as a string")
            }
            de::Unexpected::Str(_) => ("a string", ""),
            de::Unexpected::Seq => ("a list", ""),
            _ => ("a mapping", ""),
        };
        // Serde names Rust's types; its users wrote YAML.
        let expected = expected.to_string();
        let (expected, advice) = match expected.as_str() {
            "a string" => ("a string", advice),
            "a sequence" => ("a list", ""),
            "i64" | "u64" | "u16" | "i32" => ("a whole number", ""),
            text if text == "a map" || text.starts_with("struct ") => ("a mapping", ""),
            other => (other, ""),
        };
        // One number in place of another: what is wrong with it is how it is written.
        if let (true, de::Unexpected::Float(number)) = (expected.ends_with(" number"), unexpected) {
            return Self::custom(format_args!("must be {expected}, not {number:?}"));
        }
        Self::custom(format_args!("must be {expected}, not {found}{advice}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown_field(field, expected))
    }
}

// === impl Reader ===

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Str(text) => visitor.visit_borrowed_str(text),
            Value::Seq(items) => {
                visitor.visit_seq(Items { left: items.iter().enumerate(), skipped: self.skipped })
            }
            Value::Map(entries) => visitor.visit_map(Entries::of(entries, self.skipped)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// Serde's structs can be read from lists; an object's cannot.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_map(visitor)
    }

    /// A mapping may be written as nothing at all only where the type says so (by an `Option`).
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Seq(_) => Err(de::Error::custom("must be a mapping, not a list")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match &self.node.value {
            Value::Str(text) => {
                let text: StrDeserializer<'_, Mismatch> = (&**text).into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            Value::Map(entries) => MapAccessDeserializer::new(Entries::of(entries, self.skipped))
                .deserialize_enum(name, variants, visitor),
            _ => Err(de::Error::custom(format_args!("must be one of {}", variants.join(", ")))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct identifier ignored_any
    }
}

// === impl Entries ===

impl<'a> Entries<'a> {
    fn of(entries: &'a [(Key, Node)], skipped: &'a Skipped) -> Self {
        Self { left: entries.iter(), skipped, current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        self.current = self.left.find(|(_, node)| !self.skipped.has(node));
        let Some((key, node)) = self.current else { return Ok(None) };
        let text: StrDeserializer<'_, Mismatch> = (&*key.text).into_deserializer();
        seed.deserialize(text).map(Some).map_err(|error| error.inside(key.line, step(key), node))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let (key, node) = self.current.expect("invariant: serde asks for a value only after its key");
        let reader = Reader { node, skipped: self.skipped };
        seed.deserialize(reader).map_err(|error| error.inside(node.line, step(key), node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

fn step(key: &Key) -> String {
    format!(".{}", key.text)
}

// === impl Items ===

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some((index, node)) = self.left.find(|(_, node)| !self.skipped.has(node)) else {
            return Ok(None);
        };
        seed.deserialize(Reader { node, skipped: self.skipped })
            .map(Some)
            .map_err(|error| error.inside(node.line, format!("[{index}]"), node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}
