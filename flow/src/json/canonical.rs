//! A quick look at JSON that is exactly what this crate would write.
//!
//! What the stock CLI saves is in that form, byte for byte: fields in the order of their declaration, nothing empty,
//! no spaces, texts and times written in one way only. The look tells whether a text is, by the same schema as the
//! reader, and notes on the way where the values stand that are wanted. Whatever it is not sure of it refuses, so that
//! the reader has to judge it: text beyond ASCII, other spellings, unknown names, mistakes.

use super::memo::Memo;
use super::pick::{Node, Span};
use super::time;
use crate::schema::{Field, Kind, Message, SCHEMA};

/// A text that is read from the left.
pub(super) struct Look<'a> {
    text: &'a [u8],
    at: usize,
}

/// What a look needs beside the text.
pub(super) struct Notes<'n> {
    pub(super) spans: &'n mut [Span],
    /// The numbers of those values that are remembered.
    pub(super) numbers: &'n mut [u64],
    pub(super) memo: &'n mut Memo,
}

/// What is no plain part of a string: its end, an escape, what is written as an escape, and what is not ASCII.
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte < 0x20 || byte >= 0x80;
        byte += 1;
    }
    let mut at = 0;
    while at < 5 {
        table[b"\"\\<>&"[at] as usize] = true;
        at += 1;
    }
    table
};

impl<'a> Look<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn take_all(&mut self, text: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(text).then(|| self.at += text.len())
    }

    /// An object. `node` says what is wanted of it.
    pub(super) fn object(
        &mut self,
        message: &Message,
        node: Option<&Node>,
        notes: &mut Notes<'_>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        // fields stand in the order of their declaration, each no more than once
        let mut next = 0;
        let mut choices = 0_u32;
        loop {
            self.take(b'"')?;
            let position = self.key(message, next)?;
            next = position + 1;
            let field = &message.fields[position];
            if let Some(oneof) = field.oneof {
                let choice = 1_u32.checked_shl(oneof.cast_unsigned())?;
                if choices & choice != 0 {
                    return None;
                }
                choices |= choice;
            }
            let wanted = node.and_then(|node| node.fields[position].as_ref());
            match wanted {
                Some(wanted) => self.wanted(field, wanted, notes)?,
                None => self.value(field, None, notes)?,
            }
            if self.take(b'}').is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    /// The position of the field whose name and colon stand here, at `from` or later.
    fn key(&mut self, message: &Message, from: usize) -> Option<usize> {
        let rest = &self.text[self.at..];
        let head = head(rest);
        let fields = message.fields.get(from..)?;
        let found = fields.iter().position(|field| {
            (head ^ field.key_head) & field.key_mask == 0 && rest.starts_with(field.key.as_bytes())
        })?;
        self.at += fields[found].key.len();
        Some(from + found)
    }

    fn wanted(&mut self, field: &Field, wanted: &Node, notes: &mut Notes<'_>) -> Option<()> {
        let start = self.at;
        let remembered =
            wanted.remember.then(|| notes.memo.find(wanted.id, &self.text[start..], start, notes.spans));
        let mut number = None;
        if let Some((length, known)) = remembered.flatten() {
            self.at += length;
            number = Some(known);
        } else {
            self.value(field, Some(wanted), notes)?;
            if wanted.remember {
                let below = wanted.slots.clone();
                number = notes.memo.keep(wanted.id, &self.text[start..self.at], start, below, notes.spans);
            }
        }
        if let Some(slot) = wanted.slot {
            notes.spans[slot] = Span::of(start, self.at)?;
            notes.numbers[slot] = number.unwrap_or(0);
        }
        Some(())
    }

    fn value(&mut self, field: &Field, node: Option<&Node>, notes: &mut Notes<'_>) -> Option<()> {
        if !field.repeated {
            return self.single(field, node, notes, Place::Field);
        }
        self.take(b'[')?;
        loop {
            self.single(field, None, notes, Place::List)?;
            if self.take(b']').is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn single(
        &mut self,
        field: &Field,
        node: Option<&Node>,
        notes: &mut Notes<'_>,
        place: Place,
    ) -> Option<()> {
        let zero_is_written = place != Place::Field;
        match field.kind {
            Kind::String => {
                let text = self.string()?;
                (!text.is_empty() || zero_is_written).then_some(())
            }
            Kind::Bool if zero_is_written => self.take_all(b"true").or_else(|| self.take_all(b"false")),
            Kind::Bool => self.take_all(b"true"),
            Kind::Int32 | Kind::Uint32 => self.integer(field.kind, zero_is_written),
            Kind::Int64 | Kind::Uint64 => {
                self.take(b'"')?;
                self.integer(field.kind, zero_is_written)?;
                self.take(b'"')
            }
            Kind::Enum(id) => {
                let name = std::str::from_utf8(self.string()?).ok()?;
                let number = SCHEMA.enumeration(id).find(name)?;
                // of two names for one number the other is not written
                let is_written = SCHEMA.enumeration(id).name(number) == Some(name);
                (is_written && (number != 0 || zero_is_written)).then_some(())
            }
            Kind::Message(id) => self.nested(SCHEMA.message(id), node, notes),
            Kind::Double | Kind::Bytes | Kind::Foreign => None,
        }
    }

    fn nested(&mut self, message: &Message, node: Option<&Node>, notes: &mut Notes<'_>) -> Option<()> {
        match message.name.strip_prefix("google.protobuf.") {
            None => self.object(message, node, notes),
            Some("Timestamp") => time::is_written_so(self.string()?).then_some(()),
            Some(wrapper) if wrapper.ends_with("Value") => {
                self.single(&message.fields[0], None, notes, Place::Wrapper)
            }
            Some(_) => None,
        }
    }

    /// What stands between the quotes, as it is written.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += rest.iter().position(|byte| SPECIAL[usize::from(*byte)])?;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(&self.text[start..self.at - 1]);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// An escape that cannot be written otherwise.
    fn escape(&mut self) -> Option<()> {
        let length = match self.text.get(self.at + 1)? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                if !is_written_as_unicode(digits) {
                    return None;
                }
                6
            }
            _ => return None,
        };
        self.at += length;
        Some(())
    }

    /// Digits without leading zeros, in the range of the kind.
    fn integer(&mut self, kind: Kind, zero_is_written: bool) -> Option<()> {
        let negative = matches!(kind, Kind::Int32 | Kind::Int64) && self.take(b'-').is_some();
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let digits = self.at - start;
        let is_plain = digits > 0 && (digits == 1 || self.text[start] != b'0');
        let is_zero_well = number != 0 || (zero_is_written && !negative);
        let most = match (kind, negative) {
            (Kind::Int32, true) => 1 << 31,
            (Kind::Int32, false) => (1 << 31) - 1,
            (Kind::Uint32, _) => u64::from(u32::MAX),
            (Kind::Int64, true) => 1 << 63,
            (Kind::Int64, false) => (1 << 63) - 1,
            _ => u64::MAX,
        };
        (is_plain && is_zero_well && number <= most).then_some(())
    }
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A field of its own, which is left out where it is zero.
    Field,
    /// One of a list.
    List,
    /// The inside of a wrapper.
    Wrapper,
}

/// The four digits of characters that have no other way to be written.
fn is_written_as_unicode(digits: &[u8]) -> bool {
    match digits {
        b"003c" | b"003e" | b"0026" | b"2028" | b"2029" => true,
        [b'0', b'0', b'0', low] => matches!(low, b'0'..=b'7' | b'b' | b'e' | b'f'),
        [b'0', b'0', b'1', low] => matches!(low, b'0'..=b'9' | b'a'..=b'f'),
        _ => false,
    }
}

/// The first eight bytes as a number; fewer, as if zeros followed.
fn head(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => crate::schema::key_head(text),
    }
}
