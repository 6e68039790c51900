//! Keys, numbers and lengths of encoded messages.

/// A value that is a number.
pub const NUMBER: u32 = 0;
/// A value that begins with its length.
pub const LENGTH: u32 = 2;

/// The key of a field, which must take `N` bytes.
pub const fn key<const N: usize>(field: u32, wire_type: u32) -> [u8; N] {
    let mut rest = field << 3 | wire_type;
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if at + 1 < N {
            bytes[at] |= 0x80;
        }
        at += 1;
    }
    assert!(rest == 0 && bytes[N - 1] != 0, "a key of this many bytes");
    bytes
}

/// A few bytes under construction, without allocation.
#[derive(Debug, Clone, Copy)]
pub struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Short<N> {
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    pub fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.push(value.to_le_bytes()[0]);
    }

    /// A number with the key of its field; zero is left out, as everywhere in proto3.
    pub fn number(&mut self, key: u8, value: u64) {
        if value != 0 {
            self.push(key);
            self.varint(value);
        }
    }

    /// A field whose value is shorter than 128 bytes.
    pub fn short_field(&mut self, key: u8, value: &[u8]) {
        self.push(key);
        self.push(short_length(value));
        self.extend(value);
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The length of a value that is shorter than 128 bytes.
pub fn short_length(value: &[u8]) -> u8 {
    debug_assert!(value.len() < 0x80, "a length of one byte");
    value.len().to_le_bytes()[0]
}

/// Appends a text field; an empty text is left out.
pub fn text(key: u8, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        let mut head = Short::<11>::new();
        head.push(key);
        head.varint(value.len() as u64);
        out.extend_from_slice(head.as_slice());
        out.extend_from_slice(value.as_bytes());
    }
}

/// Appends a field whose value is what `write` appends. The length is patched in afterwards: `GUESS` bytes are
/// kept free for it, and only where the guess was wrong is the value moved.
pub fn with_length<const GUESS: usize>(key: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(key);
    let at = out.len();
    out.extend_from_slice(&[0; GUESS]);
    write(out);
    let end = out.len();
    let mut length = Short::<10>::new();
    length.varint((end - at - GUESS) as u64);
    if length.len > GUESS {
        out.resize(end + length.len - GUESS, 0);
    }
    if length.len != GUESS {
        out.copy_within(at + GUESS..end, at + length.len);
        out.truncate(end + length.len - GUESS);
    }
    out[at..at + length.len].copy_from_slice(length.as_slice());
}

#[cfg(test)]
mod tests {
    use prost::encoding::{WireType, encode_key, encode_varint};

    use super::*;

    #[test]
    fn keys_are_those_of_prost() {
        let expected = |field| {
            let mut key = Vec::new();
            encode_key(field, WireType::LengthDelimited, &mut key);
            key
        };
        assert_eq!(key::<1>(5, LENGTH)[..], expected(5));
        assert_eq!(key::<2>(1_000, LENGTH)[..], expected(1_000));
        assert_eq!(key::<3>(100_000, LENGTH)[..], expected(100_000));
    }

    #[test]
    fn a_length_takes_as_few_bytes_as_it_can_whatever_was_guessed() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let value: Vec<u8> = (0..length).map(|n: usize| n.to_le_bytes()[0]).collect();
            let mut expected = vec![9, 0x0a];
            encode_varint(length as u64, &mut expected);
            expected.extend_from_slice(&value);
            let mut guesses = [vec![9], vec![9], vec![9]];
            with_length::<1>(&[0x0a], &mut guesses[0], |out| out.extend_from_slice(&value));
            with_length::<2>(&[0x0a], &mut guesses[1], |out| out.extend_from_slice(&value));
            with_length::<3>(&[0x0a], &mut guesses[2], |out| out.extend_from_slice(&value));
            for (guess, out) in guesses.iter().enumerate() {
                assert!(*out == expected, "length {length} where {} bytes were guessed", guess + 1);
            }
        }
    }
}
