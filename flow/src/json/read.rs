//! From JSON to an encoded message.

use prost::encoding::{WireType, encode_key, encode_varint};

use super::lexer::{Lexer, Position, Token, Word};
use super::{JsonMessage, number, text, time};
use crate::go::quote::Quoted;
use crate::schema::{Field, Kind, Message, SCHEMA};

/// A text that is not the JSON of the message; prints as Go's `protojson` does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// The text ends too early.
    #[error("proto: unexpected EOF")]
    UnexpectedEnd,
    /// The text is no JSON, or not of the shape of the message.
    #[error("proto: syntax error ({position}): {what}")]
    Syntax {
        /// Where.
        position: Position,
        /// What is wrong.
        what: String,
    },
    /// A field is not known, stands twice, or has a wrong value.
    #[error("proto: ({position}): {what}")]
    Field {
        /// Where.
        position: Position,
        /// What is wrong.
        what: String,
    },
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<M> {
    /// The message.
    pub message: M,
    /// The first field or enum name that the contract does not know; it was passed over.
    pub unknown: Option<InvalidJson>,
}

pub(super) struct Reader<'a> {
    lexer: Lexer<'a>,
    unknown: Option<InvalidJson>,
    out: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lexer: Lexer::new(text), unknown: None, out: Vec::with_capacity(text.len()) }
    }

    pub(super) fn message<M: JsonMessage>(&mut self) -> Result<Parsed<M>, InvalidJson> {
        let id = SCHEMA.find(M::NAME).expect("invariant: a test finds every name of a JsonMessage");
        let open = self.lexer.next()?;
        self.object(SCHEMA.message(id), &open)?;
        let message = M::decode(self.out.as_slice()).map_err(|_| InvalidJson::Syntax {
            position: self.lexer.position(0),
            what: "string with invalid UTF-8".to_owned(),
        })?;
        Ok(Parsed { message, unknown: self.unknown.take() })
    }

    pub(super) const fn offset(&self) -> usize {
        self.lexer.offset()
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), InvalidJson> {
        let token = self.lexer.next()?;
        if token.word == Word::End { Ok(()) } else { Err(self.unexpected(&token)) }
    }

    fn unexpected(&self, token: &Token<'_>) -> InvalidJson {
        if token.word == Word::End {
            return InvalidJson::UnexpectedEnd;
        }
        let position = self.lexer.position(token.offset);
        InvalidJson::Syntax { position, what: format!("unexpected token {}", token.raw) }
    }

    fn wrong(&self, token: &Token<'_>, what: String) -> InvalidJson {
        InvalidJson::Field { position: self.lexer.position(token.offset), what }
    }

    fn object(&mut self, message: &Message, open: &Token<'a>) -> Result<(), InvalidJson> {
        if open.word != Word::ObjectOpen {
            return Err(self.unexpected(open));
        }
        let mut seen = vec![false; message.fields.len()];
        let mut token = self.lexer.next()?;
        if token.word == Word::ObjectClose {
            return Ok(());
        }
        loop {
            let Word::String(name) = &token.word else { return Err(self.unexpected(&token)) };
            let position = message.json_position(name);
            self.expect(&Word::Colon)?;
            let value = self.lexer.next()?;
            match position.map(|at| (at, &message.fields[at])) {
                Some((at, field)) if !is_any(field) => {
                    if std::mem::replace(&mut seen[at], true) {
                        return Err(self.wrong(&token, format!("duplicate field {}", token.raw)));
                    }
                    let excluded = |(other, excluded): (&Field, &bool)| {
                        *excluded && other.number != field.number && other.oneof == field.oneof
                    };
                    if value.word == Word::Null {
                        seen[at] = field.oneof.is_none();
                    } else if field.oneof.is_some() && message.fields.iter().zip(&seen).any(excluded) {
                        let what = format!("error parsing {}, oneof is already set", token.raw);
                        return Err(self.wrong(&token, what));
                    } else {
                        self.field(field, &value)?;
                    }
                }
                _ => {
                    if self.unknown.is_none() {
                        self.unknown = Some(self.wrong(&token, format!("unknown field {}", Quoted(name))));
                    }
                    self.skip(&value)?;
                }
            }
            token = self.lexer.next()?;
            match token.word {
                Word::ObjectClose => return Ok(()),
                Word::Comma => token = self.lexer.next()?,
                _ => return Err(self.unexpected(&token)),
            }
        }
    }

    fn expect(&mut self, word: &Word<'_>) -> Result<(), InvalidJson> {
        let token = self.lexer.next()?;
        if token.word == *word { Ok(()) } else { Err(self.unexpected(&token)) }
    }

    fn field(&mut self, field: &Field, value: &Token<'a>) -> Result<(), InvalidJson> {
        if !field.repeated {
            return self.value(field, value);
        }
        if value.word != Word::ArrayOpen {
            return Err(self.unexpected(value));
        }
        let mut token = self.lexer.next()?;
        if token.word == Word::ArrayClose {
            return Ok(());
        }
        loop {
            self.value(field, &token)?;
            token = self.lexer.next()?;
            match token.word {
                Word::ArrayClose => return Ok(()),
                Word::Comma => token = self.lexer.next()?,
                _ => return Err(self.unexpected(&token)),
            }
        }
    }

    /// Appends key and value of one value.
    fn value(&mut self, field: &Field, token: &Token<'a>) -> Result<(), InvalidJson> {
        let invalid = |reader: &Self| {
            let kind = field.kind.name();
            reader.wrong(token, format!("invalid value for {kind} field {}: {}", field.json_name, token.raw))
        };
        let varint = match (field.kind, &token.word) {
            (Kind::Message(id), _) => return self.nested(field, SCHEMA.message(id), token),
            (Kind::String, Word::String(text)) => {
                self.bytes(field, text.as_bytes());
                return Ok(());
            }
            (Kind::Bytes, Word::String(encoded)) => {
                let bytes = text::parse_bytes(encoded).ok_or_else(|| invalid(self))?;
                self.bytes(field, &bytes);
                return Ok(());
            }
            (Kind::Double, _) => {
                let number = double(token).ok_or_else(|| invalid(self))?;
                encode_key(field.number, WireType::SixtyFourBit, &mut self.out);
                self.out.extend(number.to_le_bytes());
                return Ok(());
            }
            (Kind::Bool, Word::True) => 1,
            (Kind::Bool, Word::False) => 0,
            (Kind::Enum(id), Word::String(name)) => {
                let Some(number) = SCHEMA.enumeration(id).number(name) else {
                    self.unknown = self.unknown.take().or_else(|| Some(invalid(self)));
                    return Ok(());
                };
                i64::from(number).cast_unsigned()
            }
            _ => integer(field.kind, token).ok_or_else(|| invalid(self))?,
        };
        encode_key(field.number, WireType::Varint, &mut self.out);
        encode_varint(varint, &mut self.out);
        Ok(())
    }

    fn bytes(&mut self, field: &Field, bytes: &[u8]) {
        encode_key(field.number, WireType::LengthDelimited, &mut self.out);
        encode_varint(bytes.len() as u64, &mut self.out);
        self.out.extend(bytes);
    }

    fn nested(&mut self, field: &Field, message: &Message, token: &Token<'a>) -> Result<(), InvalidJson> {
        encode_key(field.number, WireType::LengthDelimited, &mut self.out);
        let start = self.out.len();
        match (message.name.strip_prefix("google.protobuf."), &token.word) {
            (Some("Timestamp"), Word::String(text)) => {
                let invalid =
                    || self.wrong(token, format!("invalid google.protobuf.Timestamp value {}", token.raw));
                let (seconds, nanos) = time::parse(text).ok_or_else(invalid)?;
                prost::encoding::int64::encode(1, &seconds, &mut self.out);
                prost::encoding::int32::encode(2, &nanos, &mut self.out);
            }
            (Some("Timestamp"), _) => return Err(self.unexpected(token)),
            (Some(wrapper), _) if wrapper.ends_with("Value") => self.value(&message.fields[0], token)?,
            _ => self.object(message, token)?,
        }
        self.put_length(start);
        Ok(())
    }

    /// Puts the length of what stands from `start` on before it.
    fn put_length(&mut self, start: usize) {
        let end = self.out.len();
        encode_varint((end - start) as u64, &mut self.out);
        let prefix = self.out.len() - end;
        self.out[start..].rotate_right(prefix);
    }

    /// Passes over a value of any shape.
    fn skip(&mut self, value: &Token<'a>) -> Result<(), InvalidJson> {
        let mut open = Vec::new();
        let mut token = value.clone();
        loop {
            match token.word {
                Word::ObjectOpen => open.push(Word::ObjectClose),
                Word::ArrayOpen => open.push(Word::ArrayClose),
                Word::ObjectClose | Word::ArrayClose if open.last() == Some(&token.word) => {
                    open.pop();
                }
                Word::ObjectClose | Word::ArrayClose | Word::End => return Err(self.unexpected(&token)),
                Word::Comma | Word::Colon if open.is_empty() => return Err(self.unexpected(&token)),
                _ => {}
            }
            if open.is_empty() {
                return Ok(());
            }
            token = self.lexer.next()?;
        }
    }
}

/// What an `Any` holds is not read: Hubble's own extensions are not part of the contract.
fn is_any(field: &Field) -> bool {
    matches!(field.kind, Kind::Message(id) if SCHEMA.message(id).name == "google.protobuf.Any")
}

/// An integer, as a number or as a string, in the range of its kind and as its varint.
fn integer(kind: Kind, token: &Token<'_>) -> Option<u64> {
    let text = match &token.word {
        Word::Number => token.raw,
        Word::String(text) if !matches!(kind, Kind::Enum(_)) => text,
        _ => return None,
    };
    let number = number::parse_integer(text)?;
    match kind {
        Kind::Int32 | Kind::Enum(_) => {
            i32::try_from(number).ok().map(|number| i64::from(number).cast_unsigned())
        }
        Kind::Uint32 => u32::try_from(number).ok().map(u64::from),
        Kind::Int64 => i64::try_from(number).ok().map(i64::cast_unsigned),
        Kind::Uint64 => u64::try_from(number).ok(),
        _ => None,
    }
}

fn double(token: &Token<'_>) -> Option<f64> {
    match &token.word {
        Word::Number => token.raw.parse().ok(),
        Word::String(text) => match text.as_ref() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            other => other.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    }
}
