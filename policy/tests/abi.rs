//! The keys of the compiled table have the shape that the kernel's header says.

use palomar_policy::{PeerKey, Scope};

/// The value of a `#define` in the header.
fn defined(header: &str, name: &str) -> u32 {
    let lines = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let value = lines.filter_map(|line| line.split_once(' ')).find(|(key, _)| *key == name).expect(name).1;
    let value = value.split_whitespace().next().expect("a value").trim_end_matches(['U', 'L']);
    match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).expect("a number"),
        None => value.parse().expect("a number"),
    }
}

#[test]
fn prefix_lengths_and_the_class_bit_are_those_of_the_header() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../bpf/c/abi.h");
    let header = std::fs::read_to_string(path).expect("bpf/c/abi.h beside this crate");
    assert_eq!(u32::from(Scope::PEER_BITS), defined(&header, "RULE_PREFIX_PEER"));
    assert_eq!(u32::from(Scope::PROTOCOL_BITS), defined(&header, "RULE_PREFIX_PROTOCOL"));
    assert_eq!(u32::from(Scope::PORT_BITS), defined(&header, "RULE_PREFIX_PORT"));
    assert_eq!(PeerKey::CLASS_BIT, defined(&header, "PEER_CLASS"));
    assert_eq!(u32::from(PeerKey::SERVICE_DIRECTION), defined(&header, "DIRECTION_SERVICE"));
}
