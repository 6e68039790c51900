//! The types of expressions.

use std::fmt;

use crate::schema::{Field, Kind, MessageId, SCHEMA};

/// What an expression evaluates to, as far as is known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    /// Not known before, or not worth another complaint.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// A value that may be absent.
    Wrapper(Box<Self>),
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
    Message(MessageId),
}

impl Type {
    /// What a field of a message holds; `None` for one that cannot be read.
    pub(super) fn of_field(field: &Field) -> Option<Self> {
        let one = Self::of_kind(field.kind)?;
        Some(if field.repeated { Self::List(Box::new(one)) } else { one })
    }

    fn of_kind(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Bool => Self::Bool,
            Kind::Int32 | Kind::Int64 | Kind::Enum(_) => Self::Int,
            Kind::Uint32 | Kind::Uint64 => Self::Uint,
            Kind::Double => Self::Double,
            Kind::String => Self::String,
            Kind::Bytes => Self::Bytes,
            Kind::Message(id) => {
                let message = SCHEMA.message(id);
                match message.name.strip_prefix("google.protobuf.") {
                    Some("Timestamp") => Self::Timestamp,
                    Some("Duration") => Self::Duration,
                    Some(wrapper) if wrapper.ends_with("Value") => {
                        Self::Wrapper(Box::new(Self::of_kind(message.fields.first()?.kind)?))
                    }
                    _ => Self::Message(id),
                }
            }
            Kind::Foreign => return None,
        })
    }

    /// Whether a value of the other type can stand where one of this type is wanted.
    pub(super) fn accepts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _)
            | (_, Self::Dyn)
            | (Self::Wrapper(_) | Self::Message(_) | Self::Timestamp | Self::Duration, Self::Null) => true,
            (Self::Wrapper(one), Self::Wrapper(other)) | (Self::List(one), Self::List(other)) => {
                one.accepts(other)
            }
            (Self::Wrapper(one), other) => one.accepts(other),
            (one, Self::Wrapper(other)) => one.accepts(other),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.accepts(other_key) && value.accepts(other_value)
            }
            (one, other) => one == other,
        }
    }

    /// The type that both fit into; `None` where there is none.
    pub(super) fn common<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        match (self.accepts(other), other.accepts(self)) {
            (true, _) if *self != Self::Dyn => Some(self),
            (_, true) => Some(other),
            (true, false) => Some(self),
            (false, false) => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Wrapper(inner) => write!(f, "wrapper({inner})"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Message(id) => f.write_str(&SCHEMA.message(*id).name),
        }
    }
}
