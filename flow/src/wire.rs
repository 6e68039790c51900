//! Encoded messages, field by field.

use prost::encoding::{WireType, decode_key, decode_varint};

/// The value of a field as it stands encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Bytes that are no encoded message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes are no encoded message")]
pub(crate) struct Malformed;

/// The fields of an encoded message in the order of the bytes; with each, the bytes of key and value together.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

/// A field of an encoded message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// Key and value.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry.ok_or(Malformed))
    }
}

impl<'a> Fields<'a> {
    fn entry(&mut self) -> Option<Entry<'a>> {
        let start = self.0;
        let (number, wire_type) = decode_key(&mut self.0).ok()?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(decode_varint(&mut self.0).ok()?),
            WireType::SixtyFourBit => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            WireType::ThirtyTwoBit => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut self.0).ok()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        Some(Entry { number, value, bytes: &start[..start.len() - self.0.len()] })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
