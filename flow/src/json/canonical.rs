//! A quick look at JSON that is exactly what this crate would write.
//!
//! What the stock CLI saves is in that form, byte for byte: fields in the order of their declaration, nothing empty,
//! no spaces, texts and times written in one way only. The look tells whether a text is, by the same schema as the
//! reader, and notes on the way where the values stand that are wanted. Whatever it is not sure of it refuses, so that
//! the reader has to judge it: text beyond ASCII, other spellings, unknown names, mistakes. A look may be told to be
//! content with what other writers make of the same: see [`Form::Loose`].

use std::sync::Arc;

use super::memo::Memo;
use super::pick::{Node, Span};
use super::shapes::{Leaf, Step};
use crate::schema::{Field, Kind, Message, SCHEMA};

/// How far a text may be from what this crate would write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all.
    AsWritten,
    /// As other writers have it who keep the names and leave out what is empty: fields in any order, blanks between the
    /// words, `<`, `>` and `&` as they are.
    Loose,
}

/// A text that is read from the left.
pub(super) struct Look<'a> {
    text: &'a [u8],
    at: usize,
    form: Form,
}

/// What a look needs beside the text.
pub(super) struct Notes<'n> {
    pub(super) spans: &'n mut [Span],
    /// The numbers of those values that are remembered.
    pub(super) numbers: &'n mut [u64],
    pub(super) memo: &'n mut Memo,
    /// The values that are part of no other.
    pub(super) steps: Vec<Step>,
    /// How many remembered values the look is within.
    pub(super) depth: u32,
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
    pub(super) const fn new(text: &'a [u8], form: Form) -> Self {
        Self { text, at: 0, form }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Passes over what was compared.
    pub(super) const fn pass(&mut self, length: usize) {
        self.at += length;
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

    /// Passes over blanks, where they may be.
    pub(super) fn blanks(&mut self) {
        if self.form == Form::Loose {
            while let Some(b' ' | b'\t' | b'\r') = self.peek() {
                self.at += 1;
            }
        }
    }

    /// An object. `node` says what is wanted of it.
    pub(super) fn object(
        &mut self,
        message: &'static Message,
        node: Option<&Node>,
        notes: &mut Notes<'_>,
    ) -> Option<()> {
        self.take(b'{')?;
        self.blanks();
        if self.take(b'}').is_some() {
            return Some(());
        }
        // each field stands there no more than once, if not loosely in the order of their declaration
        let mut next = 0;
        let mut seen = 0_u128;
        let mut choices = 0_u32;
        loop {
            self.take(b'"')?;
            let position = self.key(message, next)?;
            let field = &message.fields[position];
            if self.form == Form::Loose {
                let own = 1_u128.checked_shl(u32::try_from(position).ok()?)?;
                if seen & own != 0 {
                    return None;
                }
                seen |= own;
            }
            next = position + 1;
            self.blanks();
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
            self.blanks();
            if self.take(b'}').is_some() {
                return Some(());
            }
            self.take(b',')?;
            self.blanks();
        }
    }

    /// The position of the field whose name and colon stand here, at `from` or later; loosely, before it too.
    fn key(&mut self, message: &Message, from: usize) -> Option<usize> {
        let rest = &self.text[self.at..];
        let head = head(rest);
        let is_here = |field: &Field| {
            (head ^ field.key_head) & field.key_mask == 0 && rest.starts_with(field.key.as_bytes())
        };
        let later = message.fields.get(from..)?.iter().position(is_here).map(|found| from + found);
        let found = match self.form {
            Form::AsWritten => later?,
            Form::Loose => later.or_else(|| message.fields[..from].iter().position(is_here))?,
        };
        self.at += message.fields[found].key.len();
        Some(found)
    }

    fn wanted(&mut self, field: &'static Field, wanted: &Arc<Node>, notes: &mut Notes<'_>) -> Option<()> {
        let start = self.at;
        if wanted.remember {
            self.repeated(field, wanted, notes)?;
            notes.step(start, self.at, || Leaf::Repeated(field, Arc::clone(wanted)));
            return Some(());
        }
        self.value(field, Some(wanted), notes)?;
        if let Some(slot) = wanted.slot {
            notes.spans[slot] = Span::of(start, self.at)?;
        }
        Some(())
    }

    /// A value that may have come before.
    fn repeated(&mut self, field: &'static Field, wanted: &Node, notes: &mut Notes<'_>) -> Option<()> {
        let start = self.at;
        let number = if let Some((length, known)) =
            notes.memo.find(wanted.id, &self.text[start..], start, notes.spans)
        {
            self.at += length;
            Some(known)
        } else {
            notes.depth += 1;
            self.value(field, Some(wanted), notes)?;
            notes.depth -= 1;
            let below = wanted.slots.clone();
            notes.memo.keep(wanted.id, &self.text[start..self.at], start, below, notes.spans)
        };
        if let Some(slot) = wanted.slot {
            notes.spans[slot] = Span::of(start, self.at)?;
            notes.numbers[slot] = number.unwrap_or(0);
        }
        Some(())
    }

    fn value(&mut self, field: &'static Field, node: Option<&Node>, notes: &mut Notes<'_>) -> Option<()> {
        if !field.repeated {
            return self.single(field, node, notes, Place::Field);
        }
        self.take(b'[')?;
        self.blanks();
        loop {
            self.single(field, None, notes, Place::List)?;
            self.blanks();
            if self.take(b']').is_some() {
                return Some(());
            }
            self.take(b',')?;
            self.blanks();
        }
    }

    fn single(
        &mut self,
        field: &'static Field,
        node: Option<&Node>,
        notes: &mut Notes<'_>,
        place: Place,
    ) -> Option<()> {
        let zero_is_written = place != Place::Field;
        let integer = Leaf::Integer { kind: field.kind, may_be_zero: zero_is_written };
        match field.kind {
            Kind::String => {
                let leaf = Leaf::Text { may_be_empty: zero_is_written };
                self.quoted(leaf, notes)
            }
            Kind::Bool if zero_is_written => self.take_all(b"true").or_else(|| self.take_all(b"false")),
            Kind::Bool => self.take_all(b"true"),
            Kind::Int32 | Kind::Uint32 => self.noted(integer, notes),
            Kind::Int64 | Kind::Uint64 => self.quoted(integer, notes),
            Kind::Enum(id) => {
                let name = self.name()?;
                let number = SCHEMA.enumeration(id).find(name)?;
                // of two names for one number the other is not written
                let is_written = SCHEMA.enumeration(id).name(number) == Some(name);
                (is_written && (number != 0 || zero_is_written)).then_some(())
            }
            Kind::Message(id) => self.nested(SCHEMA.message(id), node, notes),
            Kind::Double | Kind::Bytes | Kind::Foreign => None,
        }
    }

    fn nested(
        &mut self,
        message: &'static Message,
        node: Option<&Node>,
        notes: &mut Notes<'_>,
    ) -> Option<()> {
        match message.name.strip_prefix("google.protobuf.") {
            None => self.object(message, node, notes),
            Some("Timestamp") => self.quoted(Leaf::Time, notes),
            Some(wrapper) if wrapper.ends_with("Value") => {
                self.single(&message.fields[0], None, notes, Place::Wrapper)
            }
            Some(_) => None,
        }
    }

    /// A value between quotes.
    fn quoted(&mut self, leaf: Leaf, notes: &mut Notes<'_>) -> Option<()> {
        self.take(b'"')?;
        self.noted(leaf, notes)?;
        self.take(b'"')
    }

    /// A value that is noted as one.
    fn noted(&mut self, leaf: Leaf, notes: &mut Notes<'_>) -> Option<()> {
        let start = self.at;
        self.leaf(&leaf, notes)?;
        notes.step(start, self.at, || leaf);
        Some(())
    }

    /// A value of this kind.
    pub(super) fn leaf(&mut self, leaf: &Leaf, notes: &mut Notes<'_>) -> Option<()> {
        match leaf {
            Leaf::Text { may_be_empty } => {
                let text = self.text()?;
                (*may_be_empty || !text.is_empty()).then_some(())
            }
            Leaf::Time => notes.memo.is_time(self.text()?).then_some(()),
            Leaf::Integer { kind, may_be_zero } => self.integer(*kind, *may_be_zero),
            Leaf::Repeated(field, wanted) => self.repeated(field, wanted, notes),
        }
    }

    /// A name between quotes.
    fn name(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let name = self.text()?;
        self.take(b'"')?;
        std::str::from_utf8(name).ok()
    }

    /// What stands up to the quote that ends a string, as it is written.
    fn text(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            self.at += plain(self.text.get(self.at..)?);
            match self.peek()? {
                b'"' => return Some(&self.text[start..self.at]),
                b'\\' => self.escape()?,
                b'<' | b'>' | b'&' if self.form == Form::Loose => self.at += 1,
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

// === impl Notes ===

impl<'n> Notes<'n> {
    /// Of a line that nothing is noted of yet.
    pub(super) fn of(spans: &'n mut [Span], numbers: &'n mut [u64], memo: &'n mut Memo) -> Self {
        spans.fill(Span::default());
        numbers.fill(0);
        Self { spans, numbers, memo, steps: Vec::new(), depth: 0 }
    }

    fn step(&mut self, start: usize, end: usize, leaf: impl FnOnce() -> Leaf) {
        if self.depth == 0 {
            self.steps.push(Step { start, end, leaf: leaf() });
        }
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

/// How many bytes are plain parts of a string before one that is not, or the end.
fn plain(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let plain = rest.iter().take_while(|byte| !SPECIAL[usize::from(**byte)]);
    words.len() * 8 + plain.count()
}

/// The high bits of those bytes of a word that are [`SPECIAL`]. Behind the first there may be others that are not.
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    /// Those that are zero.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let backslash = zeros(word ^ (ONES * b'\\' as u64));
    // pairs that differ in one bit
    let angles = zeros((word | (ONES * 0x02)) ^ (ONES * b'>' as u64));
    let quote_and = zeros((word | (ONES * 0x04)) ^ (ONES * b'&' as u64));
    (word | controls | backslash | angles | quote_and) & (ONES * 0x80)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_plain_up_to_its_first_special_byte(text in prop::collection::vec(prop_oneof![9 => b' '..0x7f, 1 => any::<u8>()], 0..40)) {
            let naive = text.iter().position(|byte| SPECIAL[usize::from(*byte)]).unwrap_or(text.len());
            prop_assert_eq!(plain(&text), naive);
        }
    }

    #[test]
    fn every_byte_is_special_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut text = [b'a'; 8];
                text[at] = byte;
                let wanted = if SPECIAL[usize::from(byte)] { at } else { 8 };
                assert_eq!(plain(&text), wanted, "{byte:#x} at {at}");
            }
        }
    }
}
