//! Go's quoted strings, as its `%q` prints them.

use std::fmt;

/// Prints a text between double quotes, with Go's escapes.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        self.0.chars().try_for_each(|c| write_escaped(f, c, '"'))?;
        f.write_str("\"")
    }
}

/// Prints a character between single quotes, with Go's escapes.
#[derive(Debug, Clone, Copy)]
pub struct QuotedChar(pub char);

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        write_escaped(f, self.0, '\'')?;
        f.write_str("'")
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char, quote: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        _ if c == quote => write!(f, "\\{c}"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        '\0'..' ' | '\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        ' '..='~' => write!(f, "{c}"),
        _ if is_printable(c) => write!(f, "{c}"),
        '\0'..='\u{ffff}' => write!(f, "\\u{:04x}", u32::from(c)),
        _ => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

/// Rust's debug form escapes what does not print, spaces other than U+0020 aside.
fn is_printable(c: char) -> bool {
    !c.is_whitespace() && c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_gos() {
        let table = [
            ("plain", "\"plain\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("it's", "\"it's\""),
            ("\x1b[31m\0\n", r#""\x1b[31m\x00\n""#),
            ("é\u{a0}\u{2028}", "\"é\\u00a0\\u2028\""),
        ];
        for (text, expected) in table {
            assert_eq!(Quoted(text).to_string(), expected);
        }
        assert_eq!(QuotedChar('!').to_string(), "'!'");
        assert_eq!(QuotedChar('\'').to_string(), "'\\''");
    }
}
