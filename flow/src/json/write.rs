//! From an encoded message to JSON.

use super::{number, text, time};
use crate::schema::{Field, Kind, Message, SCHEMA};
use crate::wire::{Fields, Malformed, Value};

/// A message nested deeper than this is told as bytes; only `Any` can nest at will.
const MAX_DEPTH: usize = 32;

/// A message that has no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unprintable {
    /// The time is outside of the years 1 to 9999.
    #[error("time of {seconds} s and {nanos} ns since 1970 has no JSON")]
    Time {
        /// Seconds since the Unix epoch.
        seconds: i64,
        /// Nanoseconds within the second.
        nanos: i32,
    },
    /// An `Any` holds something else than its type says.
    #[error("message {0} is malformed")]
    Malformed(String),
}

pub(super) fn write(name: &str, encoded: &[u8], out: &mut String) -> Result<(), Unprintable> {
    write_with(EnumStyle::Name, name, encoded, out)
}

/// How enum values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnumStyle {
    /// As protobuf's JSON has them; one without a name by number.
    Name,
    /// As Go writes the definitions of a server.
    Number,
}

pub(super) fn write_with(
    enums: EnumStyle,
    name: &str,
    encoded: &[u8],
    out: &mut String,
) -> Result<(), Unprintable> {
    let id = SCHEMA.find(name).expect("invariant: a test finds every name of a JsonMessage");
    let mut writer = Writer { out, entries: Vec::new(), depth: 0, enums };
    writer.message(SCHEMA.message(id), encoded)
}

struct Writer<'a, 'out> {
    out: &'out mut String,
    /// Fields of the messages that are being written, innermost last: position in the declaration, and value.
    entries: Vec<(usize, Value<'a>)>,
    depth: usize,
    enums: EnumStyle,
}

impl<'a> Writer<'a, '_> {
    fn message(&mut self, message: &Message, encoded: &'a [u8]) -> Result<(), Unprintable> {
        let first = self.collect(message, encoded)?;
        let result = match message.name.strip_prefix("google.protobuf.") {
            Some("Timestamp") => self.timestamp(first),
            Some("Any") => self.any(first),
            Some(wrapper) if wrapper.ends_with("Value") => {
                let value = self.entries.get(first).map(|(_, value)| *value);
                self.scalar(&message.fields[0], value.unwrap_or(zero(message.fields[0].kind)))
            }
            _ => {
                self.out.push('{');
                let result = self.members(message, first, "");
                self.out.push('}');
                result
            }
        };
        self.entries.truncate(first);
        result
    }

    /// Puts the message's fields on top of the others, in the order of declaration; tells where they begin.
    fn collect(&mut self, message: &Message, encoded: &'a [u8]) -> Result<usize, Unprintable> {
        let first = self.entries.len();
        for entry in Fields(encoded) {
            let entry = entry.map_err(|Malformed| Unprintable::Malformed(message.name.clone()))?;
            if let Some(position) = message.position(entry.number) {
                self.entries.push((position, entry.value));
            }
        }
        self.entries[first..].sort_by_key(|(position, _)| *position);
        Ok(first)
    }

    fn members(
        &mut self,
        message: &Message,
        first: usize,
        mut separator: &'static str,
    ) -> Result<(), Unprintable> {
        let mut at = first;
        while let Some((position, value)) = self.entries.get(at).copied() {
            let field = &message.fields[position];
            let same = self.entries[at..].iter().take_while(|(other, _)| *other == position).count();
            self.out.push_str(separator);
            separator = ",";
            self.out.push('"');
            self.out.push_str(&field.name);
            self.out.push_str("\":");
            if field.repeated {
                self.list(field, at..at + same)?;
            } else {
                // of a field that stands twice the last counts
                let value = self.entries.get(at + same - 1).map_or(value, |(_, value)| *value);
                self.scalar(field, value)?;
            }
            at += same;
        }
        Ok(())
    }

    fn list(&mut self, field: &Field, entries: std::ops::Range<usize>) -> Result<(), Unprintable> {
        let mut separator = "";
        self.out.push('[');
        for at in entries {
            let (_, value) = self.entries[at];
            let is_packed = !matches!(field.kind, Kind::String | Kind::Bytes | Kind::Message(_));
            match value {
                Value::Bytes(mut packed) if is_packed => {
                    while let Some(value) = take_packed(field.kind, &mut packed) {
                        self.out.push_str(separator);
                        self.scalar(field, value)?;
                        separator = ",";
                    }
                }
                value => {
                    self.out.push_str(separator);
                    self.scalar(field, value)?;
                }
            }
            separator = ",";
        }
        self.out.push(']');
        Ok(())
    }

    fn scalar(&mut self, field: &Field, value: Value<'a>) -> Result<(), Unprintable> {
        let mut integer = |text: &str| self.out.push_str(text);
        match (field.kind, value) {
            (Kind::Bool, Value::Varint(value)) => integer(if value == 0 { "false" } else { "true" }),
            (Kind::Int32, Value::Varint(value)) => integer(itoa::Buffer::new().format(as_i32(value))),
            (Kind::Uint32, Value::Varint(value)) => {
                integer(itoa::Buffer::new().format(value & u64::from(u32::MAX)));
            }
            (Kind::Int64, Value::Varint(value)) => {
                self.quoted(itoa::Buffer::new().format(value.cast_signed()));
            }
            (Kind::Uint64, Value::Varint(value)) => self.quoted(itoa::Buffer::new().format(value)),
            (Kind::Enum(id), Value::Varint(value)) => {
                let value = as_i32(value);
                match SCHEMA.enumeration(id).name(value) {
                    Some(name) if self.enums == EnumStyle::Name => self.quoted(name),
                    _ => integer(itoa::Buffer::new().format(value)),
                }
            }
            (Kind::Double, Value::Fixed64(bits)) => number::write_double(f64::from_bits(bits), self.out),
            (Kind::String, Value::Bytes(bytes)) => text::write(&String::from_utf8_lossy(bytes), self.out),
            (Kind::Bytes, Value::Bytes(bytes)) => text::write_bytes(bytes, self.out),
            (Kind::Message(id), Value::Bytes(encoded)) => return self.message(SCHEMA.message(id), encoded),
            _ => return Err(Unprintable::Malformed(field.name.clone())),
        }
        Ok(())
    }

    fn quoted(&mut self, text: &str) {
        self.out.extend(["\"", text, "\""]);
    }

    fn timestamp(&mut self, first: usize) -> Result<(), Unprintable> {
        let varint = |position: usize| {
            let entry = self.entries[first..].iter().rfind(|(other, _)| *other == position);
            match entry {
                Some((_, Value::Varint(value))) => *value,
                _ => 0,
            }
        };
        let (seconds, nanos) = (varint(0).cast_signed(), as_i32(varint(1)));
        if time::write(seconds, nanos, self.out) { Ok(()) } else { Err(Unprintable::Time { seconds, nanos }) }
    }

    /// The message inside with its type beside its fields; of a type that the contract does not know, the bytes.
    fn any(&mut self, first: usize) -> Result<(), Unprintable> {
        let bytes = |position: usize| {
            let entry = self.entries[first..].iter().rfind(|(other, _)| *other == position);
            match entry {
                Some((_, Value::Bytes(bytes))) => *bytes,
                _ => &[][..],
            }
        };
        let (url, encoded) = (String::from_utf8_lossy(bytes(0)), bytes(1));
        if url.is_empty() && encoded.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        self.out.push_str("{\"@type\":");
        text::write(&url, self.out);
        let name = url.rsplit('/').next().unwrap_or_default();
        match SCHEMA.find(name).map(|id| SCHEMA.message(id)) {
            Some(message) if !message.name.starts_with("google.") && self.depth < MAX_DEPTH => {
                self.depth += 1;
                let first = self.collect(message, encoded)?;
                self.members(message, first, ",")?;
                self.entries.truncate(first);
                self.depth -= 1;
            }
            _ => {
                self.out.push_str(",\"value\":");
                text::write_bytes(encoded, self.out);
            }
        }
        self.out.push('}');
        Ok(())
    }
}

/// What an absent value of a wrapper stands for.
fn zero(kind: Kind) -> Value<'static> {
    match kind {
        Kind::Double => Value::Fixed64(0),
        Kind::String | Kind::Bytes | Kind::Message(_) => Value::Bytes(&[]),
        _ => Value::Varint(0),
    }
}

fn take_packed(kind: Kind, packed: &mut &[u8]) -> Option<Value<'static>> {
    if kind == Kind::Double {
        let (bits, rest) = packed.split_first_chunk()?;
        *packed = rest;
        return Some(Value::Fixed64(u64::from_le_bytes(*bits)));
    }
    if packed.is_empty() {
        return None;
    }
    prost::encoding::decode_varint(packed).ok().map(Value::Varint)
}

/// 32-bit integers are sign-extended to 64 bits when they are encoded.
#[expect(clippy::cast_possible_truncation, reason = "the upper half repeats the sign")]
const fn as_i32(varint: u64) -> i32 {
    varint as i32
}
