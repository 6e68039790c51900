//! Single values out of encoded messages, without decoding the whole of each.
//!
//! A skim walks a message by the contract's schema and checks all of it, so that what passes is what a full decoding
//! would have taken as well, with the same values. Whatever is not plain it refuses, so that the full decoding has to
//! judge it: a message that stands in two parts, two of a choice, values that say what their absence says, groups,
//! mistakes.

use std::borrow::Cow;

use crate::json::{JsonMessage, Node};
use crate::schema::{Field, Kind, Message, SCHEMA};
use crate::wire::{Fields, Value};

/// Messages inside of messages; the contract has fewer.
const MAX_DEPTH: usize = 32;

/// A value at a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    None,
    /// Of the width of its kind.
    Number(u64),
    /// Where text or message stands.
    Bytes { start: usize, end: usize },
    /// Where the message stands that has the list, and the number of the field.
    List { start: usize, end: usize, number: u32 },
}

/// Picks the same values out of one message after the other.
#[derive(Debug)]
pub struct Skimmer {
    message: &'static Message,
    root: Node,
    slots: Vec<Slot>,
}

/// The values of a message.
#[derive(Debug, Clone, Copy)]
pub struct Skimmed<'a> {
    encoded: &'a [u8],
    slots: &'a [Slot],
}

// === impl Skimmer ===

impl Skimmer {
    /// For the values at `paths`, such as `flow.source.pod_name`, of messages `M`.
    ///
    /// # Panics
    ///
    /// If a path leads to nothing, or through a list: paths are part of the program.
    pub fn new<M: JsonMessage>(paths: &[&str]) -> Self {
        let id = SCHEMA.find(M::NAME).expect("invariant: a test finds every name of a JsonMessage");
        let message = SCHEMA.message(id);
        Self { message, root: Node::of(message, paths, &[]), slots: vec![Slot::None; paths.len()] }
    }

    /// The values of an encoded message; `None` if it is not plain, or no message: then it has to be decoded.
    pub fn skim<'a>(&'a mut self, encoded: &'a [u8]) -> Option<Skimmed<'a>> {
        self.slots.fill(Slot::None);
        let mut walk = Walk { encoded, slots: &mut self.slots };
        walk.message(self.message, Some(&self.root), 0..encoded.len(), 0)?;
        Some(Skimmed { encoded, slots: &self.slots })
    }
}

/// One message on the way.
struct Walk<'a, 's> {
    encoded: &'a [u8],
    slots: &'s mut [Slot],
}

impl Walk<'_, '_> {
    fn message(
        &mut self,
        message: &Message,
        node: Option<&Node>,
        at: std::ops::Range<usize>,
        depth: usize,
    ) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut fields = Fields(self.encoded.get(at.clone())?);
        let (mut met, mut choices) = (0_u128, 0_u32);
        while let Some(entry) = fields.next() {
            let entry = entry.ok()?;
            // what is not known is no reason to decode: that would leave it out
            let Some(position) = message.position(entry.number) else { continue };
            let field = &message.fields[position];
            let wanted = node.and_then(|node| node.fields.get(position)?.as_deref());
            let end = at.end - fields.0.len();
            match (field.kind, entry.value) {
                (Kind::Message(id), Value::Bytes(bytes)) => {
                    let bit = 1_u128.checked_shl(u32::try_from(position).ok()?)?;
                    if !field.repeated && met & bit != 0 {
                        return None;
                    }
                    met |= bit;
                    let start = end - bytes.len();
                    // of a list no more is wanted than where it is
                    let below = wanted.filter(|_| !field.repeated);
                    self.message(SCHEMA.message(id), below, start..end, depth + 1)?;
                }
                (_, value) => check(field, value)?,
            }
            if let Some(oneof) = field.oneof {
                let choice = 1_u32.checked_shl(oneof.cast_unsigned())?;
                if choices & choice != 0 {
                    return None;
                }
                choices |= choice;
            }
            if let Some(slot) = wanted.and_then(|wanted| wanted.slot) {
                self.slots[slot] = match entry.value {
                    _ if field.repeated => Slot::List { start: at.start, end: at.end, number: field.number },
                    Value::Varint(value) => Slot::Number(of_kind(field.kind, value)),
                    Value::Bytes(bytes) => Slot::Bytes { start: end - bytes.len(), end },
                    Value::Fixed64(_) | Value::Fixed32(_) => return None,
                };
            }
        }
        Some(())
    }
}

/// Whether a value, which is no message, is of the field's kind, and says more than its absence would.
fn check(field: &Field, value: Value<'_>) -> Option<()> {
    let is_zero = match (field.kind, value) {
        (Kind::String, Value::Bytes(text)) => {
            std::str::from_utf8(text).ok()?;
            text.is_empty()
        }
        (Kind::Bytes, Value::Bytes(bytes)) => bytes.is_empty(),
        // lists of numbers stand packed or not: none of a flow's is worth the trouble
        (_, Value::Varint(_)) if field.repeated => return None,
        (Kind::Bool, Value::Varint(value)) => value == 0,
        (Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Enum(_), Value::Varint(value)) => {
            of_kind(field.kind, value) == 0
        }
        (Kind::Double, Value::Fixed64(bits)) if !field.repeated => bits == 0,
        _ => return None,
    };
    (!is_zero || field.repeated || field.oneof.is_some()).then_some(())
}

/// A number as wide as its kind: what is beyond does not count.
fn of_kind(kind: Kind, value: u64) -> u64 {
    match kind {
        Kind::Int32 | Kind::Uint32 | Kind::Enum(_) => value & u64::from(u32::MAX),
        _ => value,
    }
}

/// The lower half counts.
#[expect(clippy::cast_possible_truncation, reason = "the upper half repeats the sign, or does not count")]
const fn as_i32(value: u64) -> i32 {
    value as i32
}

// === impl Skimmed ===

impl<'a> Skimmed<'a> {
    /// The message itself.
    pub const fn encoded(&self) -> &'a [u8] {
        self.encoded
    }

    /// Whether the message has the field.
    pub fn has(&self, path: usize) -> bool {
        self.slots[path] != Slot::None
    }

    /// The message, or the text, at the path at that place in the list; empty if the message has none.
    pub fn bytes(&self, path: usize) -> &'a [u8] {
        match self.slots[path] {
            Slot::Bytes { start, end } => self.encoded.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// A text; empty if the message has none.
    pub fn text(&self, path: usize) -> Cow<'a, str> {
        // the skim let no other text pass
        String::from_utf8_lossy(self.bytes(path))
    }

    /// A list of texts; empty if the message has none.
    pub fn texts(&self, path: usize) -> Vec<Cow<'a, str>> {
        let Slot::List { start, end, number } = self.slots[path] else { return Vec::new() };
        let entries = Fields(self.encoded.get(start..end).unwrap_or_default());
        let texts = entries.flatten().filter(|entry| entry.number == number);
        texts
            .filter_map(|entry| match entry.value {
                Value::Bytes(text) => Some(String::from_utf8_lossy(text)),
                _ => None,
            })
            .collect()
    }

    /// An unsigned integer; zero if the message has none.
    pub fn number(&self, path: usize) -> u64 {
        match self.slots[path] {
            Slot::Number(number) => number,
            _ => 0,
        }
    }

    /// An integer of 32 bits, or an enum; zero if the message has none.
    pub fn integer(&self, path: usize) -> i32 {
        as_i32(self.number(path))
    }

    /// A wrapped flag; `None` if the message has none.
    pub fn flag(&self, path: usize) -> Option<bool> {
        let is_set = |value| matches!(value, Value::Varint(value) if value != 0);
        self.has(path).then(|| self.entries(path).any(|(number, value)| number == 1 && is_set(value)))
    }

    /// Seconds and nanoseconds of a time; `None` if the message has none.
    pub fn time(&self, path: usize) -> Option<(i64, i32)> {
        let (mut seconds, mut nanos) = (0, 0);
        for (number, value) in self.entries(path) {
            match (number, value) {
                (1, Value::Varint(value)) => seconds = value.cast_signed(),
                (2, Value::Varint(value)) => nanos = as_i32(value),
                _ => {}
            }
        }
        self.has(path).then_some((seconds, nanos))
    }

    fn entries(&self, path: usize) -> impl Iterator<Item = (u32, Value<'a>)> {
        Fields(self.bytes(path)).flatten().map(|entry| (entry.number, entry.value))
    }
}
