//! Numbers and texts as bytes, and back.

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("it ends within {0}")]
    Short(&'static str),
    /// They go on where they should end.
    #[error("{0} bytes too many")]
    Long(usize),
    /// A varint of more than 64 bits.
    #[error("a number of more than 64 bits")]
    Varint,
    /// A text that is not UTF-8.
    #[error("a text that is not UTF-8")]
    Text,
    /// A number that has no meaning where it stands.
    #[error("{number} is no {what}")]
    Number {
        /// What it should be the number of.
        what: &'static str,
        /// The number.
        number: u64,
    },
}

/// Appends values.
pub trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, number: u8) {
        self.put(&[number]);
    }

    fn put_u16(&mut self, number: u16) {
        self.put(&number.to_le_bytes());
    }

    fn put_u32(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    fn put_i64(&mut self, number: i64) {
        self.put(&number.to_le_bytes());
    }

    fn put_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put_u8((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.put_u8((number & 0x7f) as u8);
    }

    fn put_signed(&mut self, number: i64) {
        self.put_varint(number.cast_unsigned() << 1 ^ (number >> 63).cast_unsigned());
    }

    fn put_len(&mut self, len: usize) {
        self.put_varint(len as u64);
    }

    fn put_text(&mut self, text: &str) {
        self.put_len(text.len());
        self.put(text.as_bytes());
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Takes values from the front.
#[derive(Debug, Clone)]
pub struct Take<'a> {
    rest: &'a [u8],
}

// === impl Take ===

impl<'a> Take<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Short(what))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short(what))?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array(what).map(|[byte]| byte)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub fn i64(&mut self, what: &'static str) -> Result<i64, Malformed> {
        self.array(what).map(i64::from_le_bytes)
    }

    pub fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed::Varint);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed::Varint)
    }

    pub fn varint_u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let number = self.varint(what)?;
        u32::try_from(number).map_err(|_| Malformed::Number { what, number })
    }

    pub fn signed(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let number = self.varint(what)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let len = self.len(what)?;
        std::str::from_utf8(self.bytes(len, what)?).map_err(|_| Malformed::Text)
    }

    /// A list of at most `most` parts, part by part. A list cannot have more parts than there are bytes left: so many
    /// at most are made room for.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        most: usize,
        mut part: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let len = self.len(what)?;
        if len > self.rest.len() {
            return Err(Malformed::Short(what));
        }
        if len > most {
            return Err(Malformed::Number { what: "length of a list", number: len as u64 });
        }
        (0..len).map(|_| part(self)).collect()
    }

    /// Nothing may be left.
    pub const fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Long(self.rest.len())) }
    }

    fn len(&mut self, what: &'static str) -> Result<usize, Malformed> {
        usize::try_from(self.varint(what)?).map_err(|_| Malformed::Short(what))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken(number: u64, signed: i64, text in ".*", byte: u8, half: u16, word: u32) {
            let mut bytes = Vec::new();
            bytes.put_varint(number);
            bytes.put_signed(signed);
            bytes.put_text(&text);
            bytes.put_u8(byte);
            bytes.put_u16(half);
            bytes.put_u32(word);
            bytes.put_u64(number);
            bytes.put_i64(signed);
            let mut take = Take::new(&bytes);
            prop_assert_eq!(take.varint("")?, number);
            prop_assert_eq!(take.signed("")?, signed);
            prop_assert_eq!(take.text("")?, text);
            prop_assert_eq!(take.u8("")?, byte);
            prop_assert_eq!(take.u16("")?, half);
            prop_assert_eq!(take.u32("")?, word);
            prop_assert_eq!(take.u64("")?, number);
            prop_assert_eq!(take.i64("")?, signed);
            prop_assert_eq!(take.end(), Ok(()));
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let varint = |bytes: &[u8]| Take::new(bytes).varint("n");
        assert_eq!(varint(&[0xff; 9]), Err(Malformed::Short("n")));
        assert_eq!(varint(&[0xff; 10]), Err(Malformed::Varint), "the tenth byte has room for one bit");
        assert_eq!(varint(&[0x80; 11]), Err(Malformed::Varint));
        let number = 1 << 32;
        let mut bytes = Vec::new();
        bytes.put_varint(number);
        assert_eq!(Take::new(&bytes).varint_u32("n"), Err(Malformed::Number { what: "n", number }));
        assert_eq!(Take::new(&[2, 0xff, 0xff]).text("t"), Err(Malformed::Text));
        assert_eq!(Take::new(&[3, b'a']).text("t"), Err(Malformed::Short("t")));
        assert_eq!(Take::new(&[0]).end(), Err(Malformed::Long(1)));
    }

    #[test]
    fn a_list_that_claims_more_parts_than_there_are_bytes_takes_no_memory() {
        let mut bytes = Vec::new();
        bytes.put_varint(u64::from(u32::MAX));
        bytes.put_u8(0);
        let list = |bytes: &[u8], most| {
            Take::new(bytes).list("l", most, |_| -> Result<[u8; 4096], _> { panic!("no part is asked for") })
        };
        assert_eq!(list(&bytes, usize::MAX), Err(Malformed::Short("l")));
        let number = Malformed::Number { what: "length of a list", number: 3 };
        assert_eq!(list(&[3, 0, 0, 0], 2), Err(number));
    }
}
