//! Messages as CEL's values: a field is read when it is asked for.

use std::any::Any;

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use prost::bytes::Bytes;
use prost::encoding::decode_varint;

use crate::schema::{Field, Kind, MessageId, SCHEMA};
use crate::wire::{Fields, Value};

/// Before a field's name: whether it is there. No field's name begins so.
pub(super) const PRESENT: char = '?';

static TYPE: Type = Type::new_struct_type("flow.Message");

/// An encoded message.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) message: MessageId,
    pub(super) bytes: Bytes,
}

impl Encoded {
    fn entries(&self, number: u32) -> impl Iterator<Item = Value<'_>> {
        let entries = Fields(&self.bytes).map_while(Result::ok);
        entries.filter(move |entry| entry.number == number).map(|entry| entry.value)
    }

    fn field<'v>(&self, field: &Field) -> Box<dyn Val + 'v> {
        if !field.repeated {
            // of a field that stands twice the last counts
            return match self.entries(field.number).last() {
                Some(value) => self.value(field.kind, value),
                None => Self::absent(field.kind),
            };
        }
        let mut all: Vec<Box<dyn Val + 'v>> = Vec::new();
        for value in self.entries(field.number) {
            match value {
                Value::Bytes(mut packed) if is_packed(field.kind) => {
                    while let Ok(number) = decode_varint(&mut packed) {
                        all.push(self.value(field.kind, Value::Varint(number)));
                    }
                }
                value => all.push(self.value(field.kind, value)),
            }
        }
        Box::new(CelList::from(all))
    }

    fn value<'v>(&self, kind: Kind, value: Value<'_>) -> Box<dyn Val + 'v> {
        match (kind, value) {
            (Kind::Bool, Value::Varint(number)) => Box::new(CelBool::from(number != 0)),
            (Kind::Int32 | Kind::Int64 | Kind::Enum(_), Value::Varint(number)) => {
                Box::new(CelInt::from(number.cast_signed()))
            }
            (Kind::Uint32 | Kind::Uint64, Value::Varint(number)) => Box::new(CelUInt::from(number)),
            (Kind::Double, Value::Fixed64(bits)) => Box::new(CelDouble::from(f64::from_bits(bits))),
            (Kind::String, Value::Bytes(text)) => {
                Box::new(CelString::from(String::from_utf8_lossy(text).into_owned()))
            }
            (Kind::Bytes, Value::Bytes(bytes)) => Box::new(CelBytes::from(bytes.to_vec())),
            (Kind::Message(id), Value::Bytes(bytes)) => {
                let inner = Self { message: id, bytes: self.bytes.slice_ref(bytes) };
                let message = SCHEMA.message(id);
                match message.fields.first() {
                    // a wrapper is its value, which is not written where it is zero
                    Some(only) if is_wrapper(&message.name) => inner.field(only),
                    _ => Box::new(inner),
                }
            }
            // a field of another type than was declared: no encoder of ours writes one
            _ => Self::absent(kind),
        }
    }

    fn absent<'v>(kind: Kind) -> Box<dyn Val + 'v> {
        match kind {
            Kind::Bool => Box::new(CelBool::from(false)),
            Kind::Int32 | Kind::Int64 | Kind::Enum(_) => Box::new(CelInt::from(0)),
            Kind::Uint32 | Kind::Uint64 => Box::new(CelUInt::from(0)),
            Kind::Double => Box::new(CelDouble::from(0.0)),
            Kind::String => Box::new(CelString::from(String::new())),
            Kind::Bytes => Box::new(CelBytes::from(Vec::new())),
            Kind::Message(id) if is_wrapper(&SCHEMA.message(id).name) => Box::new(CelNull),
            Kind::Message(id) => Box::new(Self { message: id, bytes: Bytes::new() }),
            Kind::Foreign => Box::new(CelNull),
        }
    }

    fn read<'v>(&self, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError> {
        let name = name.downcast_ref::<CelString<'_>>().map(CelString::inner).unwrap_or_default();
        let message = SCHEMA.message(self.message);
        let unknown = || ExecutionError::no_such_key(name);
        match name.strip_prefix(PRESENT) {
            Some(name) => {
                let field = message.field(name).ok_or_else(unknown)?;
                Ok(Box::new(CelBool::from(self.entries(field.number).next().is_some())))
            }
            None => Ok(self.field(message.field(name).ok_or_else(unknown)?)),
        }
    }
}

fn is_wrapper(name: &str) -> bool {
    name.starts_with("google.protobuf.") && name.ends_with("Value")
}

/// Numbers of a list may stand in one field.
fn is_packed(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Enum(_) | Kind::Uint32 | Kind::Uint64)
}

impl Val for Encoded {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    /// Both were written by the same encoder.
    fn equals(&self, other: &dyn Val) -> bool {
        other
            .downcast_ref::<Self>()
            .is_some_and(|other| self.message == other.message && self.bytes == other.bytes)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Encoded {}

impl Indexer for Encoded {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.read(name).map(CowVal::Owned)
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.read(name)
    }
}
