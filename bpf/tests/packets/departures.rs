//! The first packet of a connection to another local pod: told at its source, once, where its delivery would be known.

use crate::craft::{ACK, Piece, SCTP, SYN, UDP, address, frame, icmp, ipv4, quote, tcp, transport, udp};
use crate::datapath::{Datapath, Load, PASS};
use crate::told::told;
use crate::world::{FRIEND, checked, isolated, peer_rule, world};
use palomar_bpf::abi::{Address, Direction, Endpoint, EventKind, Mode, Point, PolicyWord, Verdict};

const POD: &str = "10.0.0.10:1000";
const NEIGHBOUR: &str = "10.0.0.40:80";

fn told_of(frame: &[u8]) -> Vec<String> {
    let mut datapath = world(Load::default());
    datapath.address(address("fd00::40"), Address { identity: FRIEND, class: 0, endpoint: 88, flags: 0 });
    assert_eq!(datapath.pod_sends(frame), PASS);
    told(&mut datapath)
}

#[test]
fn what_leaves_for_another_local_pod_is_told_at_its_source_if_its_delivery_will_be_known() {
    let lost = udp(NEIGHBOUR, POD);
    let piece = Piece { id: 5, offset: 16, more: false };
    let later = frame(&ipv4(address("10.0.0.10"), address("10.0.0.40"), UDP, &[], Some(piece), &[0; 8]));
    let igmp = frame(&ipv4(address("10.0.0.10"), address("10.0.0.40"), 2, &[], None, &[0; 8]));
    let cases: [(&str, Vec<u8>, &[&str]); 13] = [
        ("TCP", tcp(POD, NEIGHBOUR, SYN), &["from-endpoint new"]),
        ("UDP", udp(POD, NEIGHBOUR), &["from-endpoint new"]),
        ("UDP over IPv6", udp("[fd00::10]:1000", "[fd00::40]:80"), &["from-endpoint new"]),
        ("SCTP", transport(POD, NEIGHBOUR, SCTP, 0), &["from-endpoint new"]),
        ("a ping", icmp("10.0.0.10", "10.0.0.40", 8, 7, &[]), &["from-endpoint new"]),
        ("a protocol without ports", igmp, &["from-endpoint new"]),
        ("TCP in mid-connection", tcp(POD, NEIGHBOUR, ACK), &[]),
        ("a later fragment alone", later, &[]),
        ("an error", icmp("10.0.0.10", "10.0.0.40", 3, 0, &quote(&lost, 28)), &[]),
        ("the pod's own address", udp(POD, "10.0.0.10:80"), &[]),
        ("a pod elsewhere", udp(POD, "10.0.0.20:80"), &["to-stack new"]),
        ("the node", udp(POD, "10.0.0.1:80"), &["to-stack new"]),
        ("the world", udp(POD, "192.0.2.1:80"), &["to-stack new"]),
    ];
    for (what, frame, expected) in cases {
        assert_eq!(told_of(&frame), expected, "{what}");
    }
}

#[test]
fn a_connection_is_told_at_its_source_once_however_often_its_first_packet_is_repeated() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(peer_rule(FRIEND, Direction::Egress), 1);
    let steps: [(bool, u8, &[&str]); 5] = [
        (true, SYN, &["policy 1 allowed new", "from-endpoint new"]),
        (true, SYN, &[]),
        (false, SYN | ACK, &["to-endpoint reply"]),
        (true, ACK, &[]),
        (true, ACK, &[]),
    ];
    for (sends, flags, expected) in steps {
        let verdict = if sends {
            datapath.pod_sends(&tcp(POD, NEIGHBOUR, flags))
        } else {
            datapath.pod_gets(&tcp(NEIGHBOUR, POD, flags))
        };
        assert_eq!(
            (verdict, told(&mut datapath)),
            (PASS, expected.iter().map(|s| (*s).to_owned()).collect())
        );
        datapath.next_revision();
    }
}

#[test]
fn a_datagram_that_may_be_of_an_older_connection_is_no_departure() {
    let mut datapath = world(Load::default());
    datapath.endpoint(Endpoint {
        policy: PolicyWord::default(),
        unjudged_udp_until: u64::MAX,
        id: 77,
        identity: 500,
    });
    assert_eq!(datapath.pod_sends(&udp(POD, NEIGHBOUR)), PASS);
    assert_eq!(told(&mut datapath), Vec::<String>::new());
}

#[test]
fn what_is_denied_or_has_a_foreign_source_in_enforce_does_not_leave() {
    let mut denied = isolated(Mode::Enforce);
    denied.pod_sends(&udp(POD, NEIGHBOUR));
    assert_eq!(told(&mut denied), ["policy 0 denied new", "drop 133 denied new"]);
    let mut audited = isolated(Mode::Audit);
    audited.pod_sends(&udp(POD, NEIGHBOUR));
    assert_eq!(told(&mut audited), ["policy 0 audited new", "from-endpoint new"]);
    let mut spoofed = checked(Mode::Enforce);
    spoofed.pod_sends(&udp("10.0.0.30:1000", NEIGHBOUR));
    assert_eq!(told(&mut spoofed), ["drop 132 denied new"]);
}

#[test]
fn the_event_says_what_left_and_for_whom() {
    let mut datapath: Datapath = world(Load::default());
    datapath.pod_sends(&tcp(POD, NEIGHBOUR, SYN));
    let [event] = datapath.events()[..] else { panic!("one event") };
    assert_eq!(EventKind::try_from(event.kind), Ok(EventKind::Trace));
    assert_eq!(Point::try_from(event.detail), Ok(Point::FromEndpoint));
    assert_eq!(Verdict::try_from(event.verdict), Ok(Verdict::Forwarded));
    assert_eq!(Direction::try_from(event.direction), Ok(Direction::Egress));
    assert_eq!((event.source_identity, event.destination_identity), (500, FRIEND));
    assert_eq!((event.source_port, event.destination_port), (1000_u16.to_be(), 80_u16.to_be()));
    assert_eq!((event.tcp_flags, event.packets), (SYN, 1));
}
