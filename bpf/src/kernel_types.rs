//! What is read of the running kernel's type information (BTF): the names of an enum's values. The format:
//! Documentation/bpf/btf.rst of the kernel.

use std::fs;
use std::io;

/// Where the kernel shows its types.
pub(crate) const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
/// Bytes of a type before what its kind adds.
const TYPE: usize = 12;
const ENUM: u32 = 6;

/// The kernel's types, as bytes.
pub(crate) fn read() -> io::Result<Vec<u8>> {
    fs::read(KERNEL_BTF)
}

/// The values of an enum with their names, in the order of their declaration; `None` where there is no such enum or the
/// bytes are no BTF.
pub(crate) fn enumeration<'a>(btf: &'a [u8], wanted: &str) -> Option<Vec<(u32, &'a str)>> {
    if btf.get(..2)? != MAGIC.to_le_bytes() {
        return None;
    }
    let header = |at| Some(word(btf, at)? as usize);
    let length = header(4)?;
    let types = part(btf, length + header(8)?, header(12)?)?;
    let strings = part(btf, length + header(16)?, header(20)?)?;
    let mut at = 0;
    while at + TYPE <= types.len() {
        let (name, info) = (word(types, at)?, word(types, at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
        at += TYPE;
        if kind == ENUM && text(strings, name)? == wanted {
            let value = |n| Some((word(types, at + 8 * n + 4)?, text(strings, word(types, at + 8 * n)?)?));
            return (0..count).map(value).collect();
        }
        at += added(kind)? * if is_list(kind) { count } else { 1 };
    }
    None
}

/// Whether a kind adds its bytes once for each member.
const fn is_list(kind: u32) -> bool {
    matches!(kind, 4 | 5 | 6 | 13 | 15 | 19)
}

/// Bytes that a kind adds to a type; `None` for a kind that is not known.
const fn added(kind: u32) -> Option<usize> {
    Some(match kind {
        // integer, variable, declaration tag
        1 | 14 | 17 => 4,
        // array, members, section variables, values of 64 bits
        3 | 4 | 5 | 15 | 19 => 12,
        // values, parameters
        6 | 13 => 8,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn part(bytes: &[u8], from: usize, length: usize) -> Option<&[u8]> {
    bytes.get(from..from.checked_add(length)?)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(part(bytes, at, 4)?.try_into().ok()?))
}

fn text(strings: &[u8], at: u32) -> Option<&str> {
    let from = strings.get(at as usize..)?;
    let end = from.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&from[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enum_of_an_object_is_read_with_every_value() {
        let (_, btf) = crate::object::parse(crate::object::pod(), &[]).unwrap();
        let btf = btf.unwrap();
        let expected = [(0, "PARSED"), (1, "PARSED_UNSEEN"), (2, "PARSED_INVALID"), (3, "PARSED_EXTENSIONS")];
        assert_eq!(enumeration(&btf, "parsed").as_deref(), Some(&expected[..]));
        assert_eq!(enumeration(&btf, "no_such_enum"), None);
    }

    #[test]
    fn bytes_that_are_no_btf_say_nothing() {
        let (_, btf) = crate::object::parse(crate::object::pod(), &[]).unwrap();
        let btf = btf.unwrap();
        for length in (0..btf.len()).step_by(97) {
            assert_eq!(enumeration(&btf[..length], "no_such_enum"), None, "{length}");
        }
        assert_eq!(enumeration(&[0; 64], "counter"), None);
    }
}
