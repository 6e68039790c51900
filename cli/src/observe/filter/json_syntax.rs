//! What Go's JSON decoder says of a text that is no JSON, before anything is made of it.

use palomar_flow::go::quote::QuotedChar;

/// Why the first value of a text is no JSON value; in Go's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// The text ends within the value.
    #[error("unexpected EOF")]
    End,
    /// A byte that may not stand where it stands.
    #[error("invalid character {} {place}", QuotedChar(char::from(*byte)))]
    Byte {
        /// The byte, of which Go makes a character as it is.
        byte: u8,
        /// Where it stands.
        place: &'static str,
    },
}

type Result<T = ()> = std::result::Result<T, InvalidJson>;

/// Checks the value that a text begins with, after spaces. What follows it does not count.
pub fn check_first(text: &str) -> Result {
    Scan { rest: text.as_bytes() }.value()
}

/// What is not looked at yet.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    /// A list of what is still open stands for calls within calls, so that a deep text does no harm.
    fn value(&mut self) -> Result {
        let mut open = Vec::new();
        loop {
            let byte = self.next_past_spaces()?;
            match (byte, open.last()) {
                (b'{', _) => {
                    if self.is_next_past_spaces(b'}') {
                        self.next()?;
                    } else {
                        self.key()?;
                        open.push(b'}');
                        continue;
                    }
                }
                (b'[', _) => {
                    if !self.is_next_past_spaces(b']') {
                        open.push(b']');
                        continue;
                    }
                    self.next()?;
                }
                (b'"', _) => self.string()?,
                (b'-' | b'0'..=b'9', _) => self.number(byte)?,
                (b't', _) => self.literal(LITERAL_TRUE)?,
                (b'f', _) => self.literal(LITERAL_FALSE)?,
                (b'n', _) => self.literal(LITERAL_NULL)?,
                _ => return wrong(byte, "looking for beginning of value"),
            }
            if self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Goes on behind a value, up to the next; true: it was the last.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool> {
        while let Some(end) = open.last().copied() {
            match self.next_past_spaces()? {
                b',' if end == b'}' => {
                    self.key()?;
                    return Ok(false);
                }
                b',' => return Ok(false),
                byte if byte == end => drop(open.pop()),
                byte if end == b'}' => return wrong(byte, "after object key:value pair"),
                byte => return wrong(byte, "after array element"),
            }
        }
        Ok(true)
    }

    fn key(&mut self) -> Result {
        match self.next_past_spaces()? {
            b'"' => self.string()?,
            byte => return wrong(byte, "looking for beginning of object key string"),
        }
        match self.next_past_spaces()? {
            b':' => Ok(()),
            byte => wrong(byte, "after object key"),
        }
    }

    fn string(&mut self) -> Result {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                byte @ 0..b' ' => return wrong(byte, "in string literal"),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result {
        match self.next()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.next()? {
                byte if byte.is_ascii_hexdigit() => Ok(()),
                byte => wrong(byte, "in \\u hexadecimal character escape"),
            }),
            byte => wrong(byte, "in string escape code"),
        }
    }

    /// A number may end with the text: only a value that is open cannot.
    fn number(&mut self, first: u8) -> Result {
        let leading = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if leading != b'0' {
            self.digits();
        }
        if self.rest.first() == Some(&b'.') {
            self.next()?;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            self.next()?;
            if matches!(self.rest.first(), Some(b'+' | b'-')) {
                self.next()?;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, place: &'static str) -> Result<u8> {
        match self.next()? {
            byte @ b'0'..=b'9' => Ok(byte),
            byte => wrong(byte, place),
        }
    }

    fn digits(&mut self) {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
    }

    fn literal(&mut self, letters: &[(u8, &'static str)]) -> Result {
        letters.iter().try_for_each(|(letter, place)| match self.next()? {
            byte if byte == *letter => Ok(()),
            byte => wrong(byte, place),
        })
    }

    fn next(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or(InvalidJson::End)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn next_past_spaces(&mut self) -> Result<u8> {
        self.skip_spaces();
        self.next()
    }

    fn is_next_past_spaces(&mut self, wanted: u8) -> bool {
        self.skip_spaces();
        self.rest.first() == Some(&wanted)
    }

    fn skip_spaces(&mut self) {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let count = self.rest.iter().take_while(is_space).count();
        self.rest = &self.rest[count..];
    }
}

/// The letters after the first, and what Go says where another stands.
const LITERAL_TRUE: &[(u8, &str)] = &[
    (b'r', "in literal true (expecting 'r')"),
    (b'u', "in literal true (expecting 'u')"),
    (b'e', "in literal true (expecting 'e')"),
];
const LITERAL_FALSE: &[(u8, &str)] = &[
    (b'a', "in literal false (expecting 'a')"),
    (b'l', "in literal false (expecting 'l')"),
    (b's', "in literal false (expecting 's')"),
    (b'e', "in literal false (expecting 'e')"),
];
const LITERAL_NULL: &[(u8, &str)] = &[
    (b'u', "in literal null (expecting 'u')"),
    (b'l', "in literal null (expecting 'l')"),
    (b'l', "in literal null (expecting 'l')"),
];

fn wrong<T>(byte: u8, place: &'static str) -> Result<T> {
    Err(InvalidJson::Byte { byte, place })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_in_gos_words() {
        let table = [
            ("{}", ""),
            (r#" {"a":[1,-0.5e+7,true,false,null,"\u00e9\n"],"b":{}} "#, ""),
            ("{} x", ""),
            ("12x", ""),
            ("[[]]]", ""),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("'", r"invalid character '\'' looking for beginning of value"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b":2}"#, r#"invalid character '"' after object key:value pair"#),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1}", "invalid character '}' after array element"),
            ("[\"a\nb\"]", r"invalid character '\n' in string literal"),
            (r#"["\x"]"#, "invalid character 'x' in string escape code"),
            (r#"["\u00g0"]"#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("[-a]", "invalid character 'a' in numeric literal"),
            ("[1.]", "invalid character ']' after decimal point in numeric literal"),
            ("[1e]", "invalid character ']' in exponent of numeric literal"),
            ("[01]", "invalid character '1' after array element"),
            ("trie", "invalid character 'i' in literal true (expecting 'u')"),
            ("fals]", "invalid character ']' in literal false (expecting 'e')"),
            ("[nul]", "invalid character ']' in literal null (expecting 'l')"),
            ("{", "unexpected EOF"),
            (r#"{"a"#, "unexpected EOF"),
            (r#"{"a":"#, "unexpected EOF"),
            ("[1", "unexpected EOF"),
            ("tru", "unexpected EOF"),
            ("-", "unexpected EOF"),
        ];
        for (text, wanted) in table {
            let said = check_first(text).err().map_or_else(String::new, |error| error.to_string());
            assert_eq!(said, wanted, "{text}");
        }
    }

    #[test]
    fn a_deep_text_does_no_harm() {
        assert_eq!(check_first(&"[".repeat(1_000_000)), Err(InvalidJson::End));
    }

    proptest! {
        #[test]
        fn all_json_is_let_through_and_what_is_let_through_begins_with_json(
            text in r#"[\[\]{}",:01eE.+\\ -]{0,12}|[\[\]{},:" 0aeltru]{0,10}"#,
        ) {
            let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            let is_let_through = check_first(&text).is_ok();
            if is_json(&text) {
                prop_assert!(is_let_through, "{}", text);
            }
            if is_let_through {
                prop_assert!((1..=text.len()).any(|end| is_json(&text[..end])), "{}", text);
            }
        }
    }
}
