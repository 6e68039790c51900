//! YAML documents as trees that remember the line of everything.

use std::sync::Arc;

use crate::error::Problem;

/// A value with the line (from 1) that it begins on. Cheap to clone, so that aliases share.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    Seq(Arc<Vec<Node>>),
    Map(Arc<Vec<(Key, Node)>>),
}

/// A mapping's key; numbers and booleans as they were written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: Arc<str>,
    pub(crate) line: u32,
}

/// One YAML document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// What it holds; as far as it could be read, where there are problems.
    pub(crate) root: Node,
    /// What is wrong with it as YAML.
    pub(crate) problems: Vec<Problem>,
    /// Whether all of it could be read nevertheless: a field that stands twice hides nothing.
    pub(crate) is_whole: bool,
}

// === impl Node ===

impl Node {
    pub(crate) const fn null(line: u32) -> Self {
        Self { line, value: Value::Null }
    }

    /// The value of a mapping's field; `None` for an absent field and for anything but a mapping.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| &*key.text == name).map(|(_, node)| node)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = &self.value { Some(text) } else { None }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What it is, in words for an error.
    pub(crate) fn kind_of_value(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
