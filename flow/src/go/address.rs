//! IP addresses and prefixes as Go's `net/netip` reads them, with its words for what is wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::quote::Quoted;

/// A text that is no IP address; prints as Go's `netip.ParseAddr` does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ParseAddr({}): {reason}{}", Quoted(text), at.as_deref().map(|at| format!(" (at {})", Quoted(at))).unwrap_or_default())]
pub struct InvalidAddress {
    text: String,
    reason: &'static str,
    at: Option<String>,
}

/// A text that is no IP prefix; prints as Go's `netip.ParsePrefix` does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("netip.ParsePrefix({}): {reason}", Quoted(text))]
pub struct InvalidPrefix {
    text: String,
    reason: String,
}

/// Reads an address. An IPv6 zone (`fe80::1%eth0`) is accepted and left out of the result.
pub fn parse_address(text: &str) -> Result<IpAddr, InvalidAddress> {
    let wrong =
        |(reason, at): Wrong<'_>| InvalidAddress { text: text.to_owned(), reason, at: at.map(str::to_owned) };
    match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => parse_v4(text).map(|octets| IpAddr::V4(octets.into())).map_err(wrong),
        Some(b':') => parse_v6(text).map(IpAddr::V6).map_err(wrong),
        Some(_) => Err(wrong(("missing IPv6 address", None))),
        None => Err(wrong(("unable to parse IP", None))),
    }
}

/// Reads a prefix in CIDR notation. Bits behind the prefix may be set.
pub fn parse_prefix(text: &str) -> Result<IpNet, InvalidPrefix> {
    let wrong = |reason: String| InvalidPrefix { text: text.to_owned(), reason };
    let (address_text, bits_text) = text.rsplit_once('/').ok_or_else(|| wrong("no '/'".into()))?;
    let address = parse_address(address_text).map_err(|error| wrong(error.to_string()))?;
    if address_text.contains('%') {
        return Err(wrong("IPv6 zones cannot be present in a prefix".into()));
    }
    let digits_only = !bits_text.is_empty() && bits_text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits_only || (bits_text.len() > 1 && bits_text.starts_with('0')) {
        return Err(wrong(format!("bad bits after slash: {}", Quoted(bits_text))));
    }
    let net = bits_text.parse().ok().and_then(|bits| IpNet::new(address, bits).ok());
    net.ok_or_else(|| wrong("prefix length out of range".into()))
}

/// What is wrong, and the text from where it is wrong.
type Wrong<'a> = (&'static str, Option<&'a str>);

fn parse_v4(text: &str) -> Result<[u8; 4], Wrong<'_>> {
    let mut octets = [0; 4];
    let (mut value, mut digits, mut octet) = (0_u16, 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' if digits == 1 && value == 0 => {
                return Err(("IPv4 field has octet with leading zero", None));
            }
            b'0'..=b'9' => {
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
                octets[octet] = u8::try_from(value).map_err(|_| ("IPv4 field has value >255", None))?;
            }
            b'.' if digits == 0 || at == text.len() - 1 => {
                return Err(("IPv4 field must have at least one digit", Some(&text[at..])));
            }
            b'.' if octet == 3 => return Err(("IPv4 address too long", None)),
            b'.' => (value, digits, octet) = (0, 0, octet + 1),
            _ => return Err(("unexpected character", Some(text.get(at..).unwrap_or_default()))),
        }
    }
    if octet < 3 { Err(("IPv4 address too short", None)) } else { Ok(octets) }
}

fn parse_v6(text: &str) -> Result<Ipv6Addr, Wrong<'_>> {
    let address = match text.split_once('%') {
        Some((_, "")) => return Err(("zone must be a non-empty string", None)),
        Some((address, _)) => address,
        None => text,
    };
    let (mut rest, mut ellipsis) = match address.strip_prefix("::") {
        Some("") => return Ok(Ipv6Addr::UNSPECIFIED),
        Some(rest) => (rest, Some(0)),
        None => (address, None),
    };
    let mut groups: Vec<u16> = Vec::with_capacity(8);
    while groups.len() < 8 {
        let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if length > 4 {
            return Err(("each group must have 4 or fewer digits", Some(rest)));
        }
        let Ok(group) = u16::from_str_radix(&rest[..length], 16) else {
            return Err(("each colon-separated field must have at least one digit", Some(rest)));
        };
        let tail = &rest[length..];
        if tail.starts_with('.') {
            push_embedded_v4(rest, ellipsis, &mut groups)?;
            rest = "";
            break;
        }
        groups.push(group);
        rest = tail;
        if rest.is_empty() {
            break;
        }
        rest = match rest.strip_prefix(':') {
            None => return Err(("unexpected character, want colon", Some(rest))),
            Some("") => return Err(("colon must be followed by more characters", Some(rest))),
            Some(after) => after,
        };
        if let Some(after) = rest.strip_prefix(':') {
            if ellipsis.is_some() {
                return Err(("multiple :: in address", Some(rest)));
            }
            ellipsis = Some(groups.len());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return Err(("trailing garbage after address", Some(rest)));
    }
    expand(groups, ellipsis)
}

fn push_embedded_v4<'a>(
    text: &'a str,
    ellipsis: Option<usize>,
    groups: &mut Vec<u16>,
) -> Result<(), Wrong<'a>> {
    if ellipsis.is_none() && groups.len() != 6 {
        return Err(("embedded IPv4 address must replace the final 2 fields of the address", Some(text)));
    }
    if groups.len() > 6 {
        return Err(("too many hex fields to fit an embedded IPv4 at the end of the address", Some(text)));
    }
    let bits = u32::from(Ipv4Addr::from(parse_v4(text)?));
    let [a, b, c, d] = bits.to_be_bytes();
    groups.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
    Ok(())
}

fn expand(mut groups: Vec<u16>, ellipsis: Option<usize>) -> Result<Ipv6Addr, Wrong<'static>> {
    match ellipsis {
        None if groups.len() < 8 => return Err(("address string too short", None)),
        Some(_) if groups.len() == 8 => {
            return Err(("the :: must expand to at least one field of zeros", None));
        }
        None => {}
        Some(at) => {
            let missing = 8 - groups.len();
            groups.splice(at..at, std::iter::repeat_n(0, missing));
        }
    }
    let groups: [u16; 8] = groups.try_into().expect("invariant: never more than 8 groups are pushed");
    Ok(groups.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn errors_are_in_gos_words() {
        let table = [
            ("notanip", r#"ParseAddr("notanip"): unable to parse IP"#),
            ("", r#"ParseAddr(""): unable to parse IP"#),
            ("010.0.1.10", r#"ParseAddr("010.0.1.10"): IPv4 field has octet with leading zero"#),
            ("1.2.3", r#"ParseAddr("1.2.3"): IPv4 address too short"#),
            ("1.2.3.4.5", r#"ParseAddr("1.2.3.4.5"): IPv4 address too long"#),
            ("1.2.3.256", r#"ParseAddr("1.2.3.256"): IPv4 field has value >255"#),
            ("1..2.3", r#"ParseAddr("1..2.3"): IPv4 field must have at least one digit (at ".2.3")"#),
            ("1.2.3.x", r#"ParseAddr("1.2.3.x"): unexpected character (at "x")"#),
            ("fd00::1::2", r#"ParseAddr("fd00::1::2"): multiple :: in address (at ":2")"#),
            ("fd00:1", r#"ParseAddr("fd00:1"): address string too short"#),
            (
                "fd00::g",
                r#"ParseAddr("fd00::g"): each colon-separated field must have at least one digit (at "g")"#,
            ),
            (
                "fd00:12345::",
                r#"ParseAddr("fd00:12345::"): each group must have 4 or fewer digits (at "12345::")"#,
            ),
            ("%eth0", r#"ParseAddr("%eth0"): missing IPv6 address"#),
            ("1.2.3.é", r#"ParseAddr("1.2.3.é"): unexpected character (at "é")"#),
        ];
        for (text, expected) in table {
            assert_eq!(parse_address(text).map_err(|error| error.to_string()), Err(expected.to_owned()));
        }
        let prefixes = [
            ("10.0.1.0/40", r#"netip.ParsePrefix("10.0.1.0/40"): prefix length out of range"#),
            ("10.0.1.0/", r#"netip.ParsePrefix("10.0.1.0/"): bad bits after slash: """#),
            ("10.0.1.0/08", r#"netip.ParsePrefix("10.0.1.0/08"): bad bits after slash: "08""#),
            ("x/8", r#"netip.ParsePrefix("x/8"): ParseAddr("x"): unable to parse IP"#),
            ("fe80::%a/8", r#"netip.ParsePrefix("fe80::%a/8"): IPv6 zones cannot be present in a prefix"#),
        ];
        for (text, expected) in prefixes {
            assert_eq!(parse_prefix(text).map_err(|error| error.to_string()), Err(expected.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_the_standard_library_accepts(text in "[0-9a-f:.]{0,24}|[0-9]{1,3}(\\.[0-9]{1,3}){3}|([0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,9}") {
            prop_assert_eq!(parse_address(&text).ok(), text.parse().ok());
        }

        #[test]
        fn every_address_is_read_back(bits in any::<u128>()) {
            let address = IpAddr::V6(bits.into());
            prop_assert_eq!(parse_address(&address.to_string()), Ok(address));
        }
    }
}
