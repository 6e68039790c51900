//! Addresses as text, in the standard form (RFC 5952), without a formatter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::Short;

/// The longest text: an IPv6 address of eight groups of four digits.
const LONGEST: usize = 39;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The text of an address.
pub fn text(address: IpAddr) -> Short<LONGEST> {
    let mut out = Short::new();
    match address {
        IpAddr::V4(address) => v4(address, &mut out),
        IpAddr::V6(address) => v6(address, &mut out),
    }
    out
}

fn v4(address: Ipv4Addr, out: &mut Short<LONGEST>) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

fn v6(address: Ipv6Addr, out: &mut Short<LONGEST>) {
    if let Some(mapped) = address.to_ipv4_mapped() {
        out.extend(b"::ffff:");
        return v4(mapped, out);
    }
    let groups = address.segments();
    let (zeros, length) = longest_zeros(groups);
    let mut at = 0;
    while at < groups.len() {
        if at == zeros && length > 1 {
            out.extend(b"::");
            at += length;
            continue;
        }
        let is_behind_zeros = length > 1 && at == zeros + length;
        if at > 0 && !is_behind_zeros {
            out.push(b':');
        }
        group(groups[at], out);
        at += 1;
    }
}

/// Where the first of the longest runs of zeros begins, and how long it is.
fn longest_zeros(groups: [u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (at, group) in groups.into_iter().enumerate() {
        run = match (group, run.1) {
            (0, 0) => (at, 1),
            (0, length) => (run.0, length + 1),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    best
}

fn group(group: u16, out: &mut Short<LONGEST>) {
    let digit = |shift: u16| DIGITS[usize::from(group >> shift & 0xf)];
    for shift in [12, 8, 4] {
        if group >> shift != 0 {
            out.push(digit(shift));
        }
    }
    out.push(digit(0));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(address: IpAddr) -> String {
        String::from_utf8(text(address).as_slice().to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn texts_are_the_standard_ones(
            v4: u32,
            groups in prop::array::uniform8(prop_oneof![Just(0_u16), 1_u16..=0xfff, any::<u16>()]),
        ) {
            for address in [IpAddr::from(Ipv4Addr::from_bits(v4)), IpAddr::from(groups)] {
                prop_assert_eq!(written(address), address.to_string());
            }
        }
    }

    #[test]
    fn special_addresses_too() {
        for text in ["::", "::1", "1::", "::ffff:1.2.3.4", "::1.2.3.4", "1:0:0:2:0:0:0:3", "1:2:3:4:5:6:7:0"]
        {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(written(address), address.to_string());
        }
    }
}
