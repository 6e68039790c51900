//! Strings in JSON.

/// Appends a quoted string. `<`, `>`, `&`, U+2028 and U+2029 are escaped, so that the text is safe inside HTML.
pub(super) fn write(text: &str, out: &mut String) {
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let is_plain = byte >= b' ' && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        if is_plain {
            continue;
        }
        let separator = text.get(at..at + 3).filter(|rest| matches!(*rest, "\u{2028}" | "\u{2029}"));
        if byte == 0xe2 && separator.is_none() {
            continue;
        }
        out.push_str(&text[written..at]);
        written = at + separator.map_or(1, str::len);
        match (byte, separator) {
            (_, Some("\u{2028}")) => out.push_str("\\u2028"),
            (_, Some(_)) => out.push_str("\\u2029"),
            (b'"', _) => out.push_str("\\\""),
            (b'\\', _) => out.push_str("\\\\"),
            (0x08, _) => out.push_str("\\b"),
            (0x0c, _) => out.push_str("\\f"),
            (b'\n', _) => out.push_str("\\n"),
            (b'\r', _) => out.push_str("\\r"),
            (b'\t', _) => out.push_str("\\t"),
            _ => push_unicode(byte, out),
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
}

fn push_unicode(byte: u8, out: &mut String) {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or('0');
    out.extend(["\\u00"]);
    out.extend([digit(byte >> 4), digit(byte & 0xf)]);
}

/// Appends a quoted string of bytes.
pub(super) fn write_bytes(bytes: &[u8], out: &mut String) {
    out.push('"');
    write_base64(bytes, out);
    out.push('"');
}

/// Appends bytes in base 64 with padding.
pub(super) fn write_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_usize, |group, byte| group << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let is_padding = place > chunk.len();
            let digit = ALPHABET[group >> (18 - 6 * place) & 0x3f];
            out.push(if is_padding { '=' } else { char::from(digit) });
        }
    }
}

/// The bytes of a text in base 64, in the standard or the URL alphabet, padded or not; `None` for anything else.
pub(super) fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut group, mut bits) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(group >> bits & 0xff).ok()?);
        }
    }
    (digits.len() % 4 != 1 && text.len() - digits.len() <= 2).then_some(bytes)
}
