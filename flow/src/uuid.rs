//! UUIDs as text.

/// A number as a UUID: 32 lower-case hexadecimal digits in five groups.
pub fn format_uuid(uuid: u128) -> String {
    let digits = format!("{uuid:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
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
