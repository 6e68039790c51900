//! Packets cut off at every byte: never a wrong drop, never a way around policy.

use crate::craft::{
    Extension, Piece, TCP, UDP, address, frame, icmp, ipv4, ipv6, quote, tcp, tcp_segment, udp_datagram, vlan,
};
use crate::datapath::{DROP, Datapath, PASS};
use crate::parser::kinds;
use crate::world::isolated;
use palomar_bpf::abi::{
    Counter, DROP_EXTENSION_HEADERS, DROP_INVALID_PACKET, EventKind, Mode, POLICY_ENFORCED,
    POLICY_ISOLATED_EGRESS, POLICY_ISOLATED_INGRESS, address_from_bytes,
};

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;

fn more_kinds() -> Vec<(&'static str, Vec<u8>)> {
    let (v4, w4) = (address("10.0.0.10"), address("10.0.0.20"));
    let (v6, w6) = (address("fd00::10"), address("fd00::20"));
    let sent = tcp("10.0.0.20:80", "10.0.0.10:1000", 16);
    let first = Piece { id: 9, offset: 0, more: true };
    let later = Piece { id: 9, offset: 24, more: false };
    let cut = |offset, more| [Extension::Fragment { id: 9, offset, more }];
    let mut kinds = kinds();
    kinds.extend([
        ("an ICMP error", icmp("10.0.0.10", "10.0.0.20", 3, 0, &quote(&sent, 28))),
        ("a first fragment", frame(&ipv4(v4, w4, TCP, &[], Some(first), &tcp_segment(1000, 80, 2)))),
        ("a later fragment", frame(&ipv4(v4, w4, TCP, &[], Some(later), &[0; 16]))),
        ("a first fragment v6", frame(&ipv6(v6, w6, &cut(0, true), UDP, &udp_datagram(1000, 80)))),
        ("a later fragment v6", frame(&ipv6(v6, w6, &cut(24, false), UDP, &[0; 16]))),
    ]);
    kinds
}

/// `BPF_PROG_TEST_RUN` itself refuses an IP packet without a whole IP header, unless it is behind a VLAN tag.
fn runnable(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x00] => frame.len() >= ETHERNET + 20,
        [0x86, 0xdd] => frame.len() >= ETHERNET + 40,
        _ => frame.len() > ETHERNET,
    }
}

/// Every kind of packet, as it is and behind a tag, cut at every byte.
fn cut_packets() -> Vec<(String, Vec<u8>)> {
    let mut packets = vec![];
    for (name, frame) in more_kinds() {
        let tagged = if name.contains("VLAN") { vec![] } else { vlan(&[0x8100], &frame) };
        for frame in [frame, tagged] {
            for length in ETHERNET..=frame.len() {
                if runnable(&frame[..length]) {
                    packets.push((
                        format!("{name}, {length} of {} bytes", frame.len()),
                        frame[..length].to_vec(),
                    ));
                }
            }
        }
    }
    packets
}

/// What is cut off before the end of its VLAN tags is not known to be IP.
fn known_to_be_ip(frame: &[u8]) -> bool {
    let tags = frame[12..]
        .chunks(VLAN_TAG)
        .take_while(|tag| matches!(tag[..], [0x81 | 0x88, 0x00 | 0xa8, ..]))
        .count();
    frame.len() >= ETHERNET + tags * VLAN_TAG
}

fn both_ways(datapath: &mut Datapath, frame: &[u8]) -> [i32; 2] {
    [datapath.pod_sends(frame), datapath.pod_gets(frame)]
}

#[test]
fn nothing_is_dropped_unless_policy_is_enforced() {
    let isolation = POLICY_ISOLATED_INGRESS | POLICY_ISOLATED_EGRESS;
    for (mode, flags) in [
        (Mode::Off, isolation | POLICY_ENFORCED),
        (Mode::Audit, isolation | POLICY_ENFORCED),
        (Mode::Enforce, isolation),
        (Mode::Enforce, POLICY_ENFORCED),
    ] {
        let mut datapath = isolated(mode);
        datapath.policy(crate::world::SET, 2, flags);
        for (name, frame) in cut_packets() {
            assert_eq!(both_ways(&mut datapath, &frame), [PASS, PASS], "{name}, {mode:?}, flags {flags}");
        }
        assert_eq!(datapath.count(Counter::Dropped), 0);
        assert!(datapath.count(Counter::Malformed) > 0);
        assert!(datapath.count(Counter::Forwarded) > datapath.count(Counter::Malformed));
    }
}

#[test]
fn nothing_cut_off_gets_around_an_enforced_policy() {
    let mut datapath = isolated(Mode::Enforce);
    for (name, frame) in cut_packets() {
        let verdict = if known_to_be_ip(&frame) { DROP } else { PASS };
        assert_eq!(both_ways(&mut datapath, &frame), [verdict, verdict], "{name}");
    }
    assert_eq!(datapath.connections(), []);
}

#[test]
fn only_the_isolated_direction_refuses_what_it_cannot_read() {
    let cut = tcp("10.0.0.10:1000", "10.0.0.20:80", 2)[..40].to_vec();
    for (flag, sent, got) in [(POLICY_ISOLATED_EGRESS, DROP, PASS), (POLICY_ISOLATED_INGRESS, PASS, DROP)] {
        let mut datapath = isolated(Mode::Enforce);
        datapath.policy(crate::world::SET, 2, flag | POLICY_ENFORCED);
        assert_eq!(both_ways(&mut datapath, &cut), [sent, got]);
        assert_eq!(datapath.count(Counter::Malformed), 2);
    }
}

#[test]
fn an_unreadable_packet_is_dropped_with_its_reason() {
    let (v6, w6) = (address("fd00::10"), address("fd00::20"));
    let short_ihl = {
        let mut frame = tcp("10.0.0.10:1000", "10.0.0.20:80", 2);
        frame[ETHERNET] = 0x44;
        frame
    };
    let wrong_version = {
        let mut frame = tcp("[fd00::10]:1000", "[fd00::20]:80", 2);
        frame[ETHERNET] = 0x40;
        frame
    };
    let flagless = Piece { id: 9, offset: 0, more: true };
    let flagless = frame(&ipv4(
        address("10.0.0.10"),
        address("10.0.0.20"),
        TCP,
        &[],
        Some(flagless),
        &tcp_segment(1, 2, 2)[..8],
    ));
    let seven = frame(&ipv6(v6, w6, &[Extension::Destination; 7], TCP, &tcp_segment(1000, 80, 2)));
    let cut_extension = frame(&ipv6(v6, w6, &[Extension::HopByHop], TCP, &[]))[..60].to_vec();
    let tagged = |tags: &[u16]| vlan(tags, &tcp("10.0.0.10:1000", "10.0.0.20:80", 2));
    for (name, frame, code, family) in [
        ("a header length below 5", short_ihl, DROP_INVALID_PACKET, 4),
        ("another IP version than the frame says", wrong_version, DROP_INVALID_PACKET, 6),
        ("a first fragment without the TCP flags", flagless, DROP_INVALID_PACKET, 4),
        ("seven extension headers", seven, DROP_EXTENSION_HEADERS, 6),
        ("an extension header cut off", cut_extension, DROP_EXTENSION_HEADERS, 6),
        ("a header cut off", tagged(&[0x8100])[..37].to_vec(), DROP_INVALID_PACKET, 4),
        ("a third VLAN tag", tagged(&[0x88a8, 0x8100, 0x8100]), DROP_INVALID_PACKET, 6),
        ("a fourth VLAN tag", tagged(&[0x8100; 4]), DROP_INVALID_PACKET, 6),
    ] {
        let mut datapath = isolated(Mode::Enforce);
        assert_eq!(both_ways(&mut datapath, &frame), [DROP, DROP], "{name}");
        let events = datapath.events();
        assert_eq!(events.len(), 2, "{name}");
        for event in events {
            assert_eq!((event.kind, event.detail), (EventKind::Drop.number(), code), "{name}");
            assert_eq!(event.family, family, "{name}");
            for address in [event.source, event.destination].map(address_from_bytes) {
                assert_eq!(address.is_ipv4(), family == 4, "{name}: {address}");
            }
        }
        assert_eq!(datapath.count(Counter::Dropped), 2, "{name}");
        let mut audited = isolated(Mode::Audit);
        assert_eq!(both_ways(&mut audited, &frame), [PASS, PASS], "{name}");
        assert_eq!(audited.count(Counter::Malformed), 2, "{name}");
    }
}
