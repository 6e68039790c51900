//! UUIDs as text.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Bytes of a UUID after which a hyphen stands.
const GROUP_ENDS: [usize; 4] = [4, 6, 8, 10];

/// A number as a UUID: 32 lower-case hexadecimal digits in five groups.
pub fn format_uuid(uuid: u128) -> String {
    uuid_text(uuid).iter().map(|byte| char::from(*byte)).collect()
}

/// The same as bytes.
pub(crate) fn uuid_text(uuid: u128) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        at += usize::from(GROUP_ENDS.contains(&index));
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 0xf)];
        at += 2;
    }
    text
}

/// The number of a UUID in any case; `None` for any other form.
pub fn parse_uuid(text: &str) -> Option<u128> {
    let groups: Vec<&str> = text.split('-').collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(is_hex);
    if is_uuid { u128::from_str_radix(&groups.concat(), 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_back() {
        let uuid = 0x0123_4567_89ab_4def_8123_4567_89ab_cdef;
        assert_eq!(format_uuid(uuid), "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(parse_uuid("01234567-89AB-4def-8123-456789abcdef"), Some(uuid));
        for text in ["", "0123456789ab4def8123456789abcdef", "+1234567-89ab-4def-8123-456789abcdef"] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
