//! The words of a JSON text, with their positions.

use std::borrow::Cow;
use std::fmt;

use super::read::InvalidJson;

/// Where a word begins: both count from 1, the column in characters. Prints as `line 1:2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}:{}", self.line, self.column)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word<'a> {
    ObjectOpen,
    ObjectClose,
    ArrayOpen,
    ArrayClose,
    Comma,
    Colon,
    String(Cow<'a, str>),
    Number,
    True,
    False,
    Null,
    End,
}

/// A word and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) word: Word<'a>,
    /// The word as it is written.
    pub(super) raw: &'a str,
    pub(super) offset: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// How many bytes were read.
    pub(super) const fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn position(&self, offset: usize) -> Position {
        Position::of(self.text, offset)
    }

    /// The next word; the end again and again once it is reached.
    pub(super) fn next(&mut self) -> Result<Token<'a>, InvalidJson> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let (word, length) = match bytes.get(start) {
            None => (Word::End, 0),
            Some(b'{') => (Word::ObjectOpen, 1),
            Some(b'}') => (Word::ObjectClose, 1),
            Some(b'[') => (Word::ArrayOpen, 1),
            Some(b']') => (Word::ArrayClose, 1),
            Some(b',') => (Word::Comma, 1),
            Some(b':') => (Word::Colon, 1),
            Some(b'"') => self.string(rest)?,
            Some(b'-' | b'0'..=b'9') => (Word::Number, self.number(rest)?),
            Some(_) => self.literal(rest)?,
        };
        self.at += length;
        Ok(Token { word, raw: &rest[..length], offset: start })
    }

    fn literal(&self, rest: &str) -> Result<(Word<'a>, usize), InvalidJson> {
        let length = word_length(rest);
        match &rest[..length] {
            "true" => Ok((Word::True, length)),
            "false" => Ok((Word::False, length)),
            "null" => Ok((Word::Null, length)),
            _ => Err(self.invalid_value(rest)),
        }
    }

    fn number(&self, rest: &str) -> Result<usize, InvalidJson> {
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole_at = usize::from(bytes[0] == b'-');
        let whole = digits(whole_at);
        let mut at = whole_at + whole;
        let mut is_valid = whole == 1 || (whole > 1 && bytes[whole_at] != b'0');
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            is_valid &= fraction > 0;
            at += 1 + fraction;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            is_valid &= exponent > 0;
            at += exponent;
        }
        is_valid &= word_length(rest) <= at;
        if is_valid { Ok(at) } else { Err(self.invalid_value(rest)) }
    }

    fn invalid_value(&self, rest: &str) -> InvalidJson {
        let length = word_length(rest).max(rest.chars().next().map_or(0, char::len_utf8));
        self.syntax(format!("invalid value {}", &rest[..length]))
    }

    pub(super) fn syntax(&self, what: String) -> InvalidJson {
        InvalidJson::Syntax { position: self.position(self.at), what }
    }

    /// A string without escapes is borrowed from the text.
    fn string(&self, rest: &'a str) -> Result<(Word<'a>, usize), InvalidJson> {
        let mut owned: Option<String> = None;
        let mut from = 1;
        loop {
            let Some(length) =
                rest[from..].bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\'))
            else {
                return Err(InvalidJson::UnexpectedEnd);
            };
            let plain = &rest[from..from + length];
            let at = from + length;
            match rest.as_bytes()[at] {
                b'"' => {
                    let text = match owned {
                        None => Cow::Borrowed(plain),
                        Some(owned) => Cow::Owned(owned + plain),
                    };
                    return Ok((Word::String(text), at + 1));
                }
                b'\\' => {
                    let text = owned.get_or_insert_default();
                    text.push_str(plain);
                    from = at + self.escape(&rest[at..], text)?;
                }
                other => {
                    return Err(self.syntax(format!("invalid character '\\x{other:02x}' in string")));
                }
            }
        }
    }

    /// Appends what an escape stands for; the length of the escape.
    fn escape(&self, rest: &str, out: &mut String) -> Result<usize, InvalidJson> {
        let simple = match rest.as_bytes().get(1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let invalid = || self.syntax("invalid escape code in string".to_owned());
                let (c, length) = unicode(rest).ok_or_else(invalid)?;
                out.push(c);
                return Ok(length);
            }
            None => return Err(InvalidJson::UnexpectedEnd),
            Some(_) => return Err(self.syntax("invalid escape code in string".to_owned())),
        };
        out.push(simple);
        Ok(2)
    }
}

/// The length of a run of letters, digits and what numbers are made of.
fn word_length(rest: &str) -> usize {
    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(byte)).count()
}

/// `\uXXXX`, two of them for a character outside of the basic plane.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let first = unit(0)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, 6));
    }
    let pair = char::decode_utf16([first, unit(6)?]).next()?.ok()?;
    Some((pair, 12))
}
