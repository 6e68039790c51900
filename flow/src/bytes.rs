//! Looks at short texts byte by byte.

/// Whether a text has a byte; without a branch for each, since most texts are short and have none.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "without a branch for each byte")]
pub fn has_byte(text: &[u8], wanted: u8) -> bool {
    text.iter().fold(false, |has, byte| has | (*byte == wanted))
}
