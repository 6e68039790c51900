//! Makes text from a server harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes what could steer a terminal or fake a line: ESC as `^[`, CR as `\r`, LF as `\n`, other control characters
/// as `\xNN` or `\u{NN}`, and the characters that turn the writing direction. A tab stays.
///
/// ESC, CR and tab are as in Hubble, which lets the rest through.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\x1b' => escaped.push_str("^["),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            '\0'..='\x7f' if is_harmful(c) => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(c));
            }
            _ if is_harmful(c) => escaped.extend(c.escape_unicode()),
            _ => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Appends a text, escaped.
pub fn push_escaped(out: &mut String, text: &str) {
    // one look at all bytes, without a branch for each
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte.wrapping_sub(b' ') < 0x5f));
    if is_plain { out.push_str(text) } else { out.push_str(&escape(text)) }
}

fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\t') || turns_writing(c)
}

/// Whether a character turns the writing direction of what follows, or marks one.
pub fn turns_writing(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        let table = [
            ("plain text is not copied", "shop/front ä", "shop/front ä"),
            ("a colour", "\x1b[31mred\x1b[0m", "^[[31mred^["),
            ("carriage return and tab", "a\rb\tc", "a\\rb\tc"),
            ("a line that fakes another", "a\nMar  4", "a\\nMar  4"),
            ("a bell and a delete", "\x07\x7f", "\\x07\\x7f"),
            ("the one-character control sequence introducer", "\u{9b}31m", "\\u{9b}31m"),
            ("reversed writing", "a\u{202e}b", "a\\u{202e}b"),
        ];
        for (what, text, wanted) in table {
            assert!(escape(text).starts_with(wanted), "{what}: {}", escape(text));
        }
        assert!(matches!(escape("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_control_character_survives_and_nothing_else_changes(text in "\\PC{0,20}[\\x00-\\x1f\\x7f-\\x9f]{0,3}\\PC{0,20}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.chars().any(|c| c.is_control() && c != '\t'));
            if !text.chars().any(is_harmful) {
                prop_assert_eq!(escaped.as_ref(), text.as_str());
            }
            let mut pushed = String::new();
            push_escaped(&mut pushed, &text);
            prop_assert_eq!(escaped.as_ref(), pushed.as_str());
        }
    }
}
