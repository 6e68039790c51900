//! Connections: what belongs to one, what begins one, when it is judged again, when it ends.

use crate::craft::{ACK, FIN, PSH, RST, SYN, TCP, UDP, icmp, tcp, udp};
use crate::datapath::{DROP, Datapath, ENDPOINT, IDENTITY, Load, PASS};
use crate::told::told;
use crate::world::{FRIEND, SET, isolated, isolated_with, peer_rule, port_rule, world};
use palomar_bpf::abi::{
    CONNECTION_AUDITED, CONNECTION_DENIED, CONNECTION_UNORIENTED, Connection, Counter, Direction, Endpoint,
    Lifetimes, Mode, POLICY_ENFORCED, POLICY_ISOLATED_EGRESS, POLICY_ISOLATED_INGRESS, PolicyWord,
};
use std::thread::sleep;
use std::time::Duration;

/// Whether the pod sends it, and its TCP flags.
type Step = (bool, u8);
type Steps = &'static [Step];

const POD: &str = "10.0.0.10:1000";
const PEER: &str = "10.0.0.20:80";

fn out(flags: u8) -> Vec<u8> {
    tcp(POD, PEER, flags)
}

fn back(flags: u8) -> Vec<u8> {
    tcp(PEER, POD, flags)
}

/// Enforced; the pod may open connections to the friend's port 80, and has one.
fn connected(load: Load) -> Datapath {
    let mut datapath = isolated_with(Mode::Enforce, load);
    datapath.rule(port_rule(FRIEND, Direction::Egress, TCP, 80), 1);
    for (sends, frame) in [(true, out(SYN)), (false, back(SYN | ACK)), (true, out(ACK))] {
        let verdict = if sends { datapath.pod_sends(&frame) } else { datapath.pod_gets(&frame) };
        assert_eq!(verdict, PASS);
    }
    told(&mut datapath);
    datapath
}

#[test]
fn replies_of_an_allowed_connection_are_allowed_and_each_new_flag_is_told_once() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(port_rule(FRIEND, Direction::Egress, TCP, 80), 1);
    for (sends, flags, events) in [
        (true, SYN, vec!["policy 2 allowed new", "to-stack new"]),
        (true, SYN, vec![]),
        (false, SYN | ACK, vec!["to-endpoint reply"]),
        (true, ACK, vec!["to-stack established"]),
        (true, ACK, vec![]),
        (true, ACK | PSH, vec!["to-stack established"]),
        (false, ACK, vec![]),
        (false, ACK | PSH, vec!["to-endpoint reply"]),
        (true, ACK | PSH, vec![]),
        (true, ACK | FIN, vec!["to-stack established"]),
        (false, ACK | FIN, vec!["to-endpoint reply"]),
        (true, ACK, vec![]),
    ] {
        let verdict = if sends { datapath.pod_sends(&out(flags)) } else { datapath.pod_gets(&back(flags)) };
        assert_eq!(verdict, PASS, "flags {flags}, pod sends: {sends}");
        assert_eq!(told(&mut datapath), events, "flags {flags}, pod sends: {sends}");
    }
}

#[test]
fn the_first_reply_without_flags_is_told_too() {
    let mut datapath = world(Load::default());
    let ping = |kind, from, to| icmp(from, to, kind, 7, &[]);
    for (there, reply) in [
        (udp(POD, "10.0.0.20:53"), udp("10.0.0.20:53", POD)),
        (ping(8, "10.0.0.10", "10.0.0.20"), ping(0, "10.0.0.20", "10.0.0.10")),
        (ping(128, "fd00::10", "fd00::20"), ping(129, "fd00::20", "fd00::10")),
    ] {
        for _ in 0..3 {
            datapath.pod_sends(&there);
        }
        for _ in 0..3 {
            datapath.pod_gets(&reply);
        }
        assert_eq!(told(&mut datapath), ["to-stack new", "to-endpoint reply"]);
    }
}

#[test]
fn a_quiet_connection_is_told_once_an_interval() {
    let mut datapath = connected(Load { event_interval: Duration::from_millis(100), ..Load::default() });
    datapath.pod_sends(&out(ACK));
    assert_eq!(told(&mut datapath), Vec::<String>::new());
    sleep(Duration::from_millis(120));
    datapath.pod_sends(&out(ACK));
    datapath.pod_sends(&out(ACK));
    assert_eq!(told(&mut datapath), ["to-stack established"]);
}

#[test]
fn a_syn_begins_a_connection_of_its_own_unless_it_repeats_the_one_that_did() {
    let cases: [(&str, &[Step], Step, bool); 8] = [
        ("a repeated SYN", &[(true, SYN)], (true, SYN), false),
        ("on a connection that was answered", &[(true, SYN), (false, SYN | ACK)], (true, SYN), false),
        ("after an ACK from its side", &[(true, SYN), (false, SYN | ACK), (true, ACK)], (true, SYN), true),
        ("after a reset", &[(true, SYN), (false, RST | ACK)], (true, SYN), true),
        ("after a FIN", &[(true, SYN), (false, SYN | FIN | ACK)], (true, SYN), true),
        ("from the other end", &[(true, SYN)], (false, SYN), true),
        (
            "from the other end of an open one",
            &[(true, SYN), (false, SYN | ACK), (true, ACK)],
            (false, SYN),
            true,
        ),
        ("on an entry that no SYN made", &[(true, PSH)], (true, SYN), true),
    ];
    for (name, before, (sends, flags), anew) in cases {
        let mut datapath = world(Load::default());
        for (sends, flags) in before {
            if *sends {
                datapath.pod_sends(&out(*flags))
            } else {
                datapath.pod_gets(&back(*flags))
            };
        }
        told(&mut datapath);
        if sends {
            datapath.pod_sends(&out(flags))
        } else {
            datapath.pod_gets(&back(flags))
        };
        let direction = if sends { "to-stack new" } else { "to-endpoint new" };
        let expected: &[&str] = if anew { &[direction] } else { &[] };
        assert_eq!(told(&mut datapath), expected, "{name}");
    }
}

#[test]
fn a_syn_against_an_allowed_connection_does_not_ride_on_it() {
    let mut datapath = connected(Load::default());
    assert_eq!(datapath.pod_gets(&back(SYN)), DROP);
    assert_eq!(datapath.pod_gets(&back(ACK)), PASS, "the connection itself goes on");
}

#[test]
fn a_ping_does_not_ride_on_one_of_the_other_end() {
    let mut datapath = isolated(Mode::Enforce);
    datapath.rule(peer_rule(FRIEND, Direction::Egress), 1);
    for (from, to, request, reply) in [("10.0.0.10", "10.0.0.20", 8, 0), ("fd00::10", "fd00::20", 128, 129)] {
        for id in [0, 7] {
            assert_eq!(datapath.pod_sends(&icmp(from, to, request, id, &[])), PASS);
            assert_eq!(datapath.pod_gets(&icmp(to, from, reply, id, &[])), PASS);
            assert_eq!(datapath.pod_gets(&icmp(to, from, request, id, &[])), DROP, "id {id}");
            assert_eq!(datapath.pod_gets(&icmp(to, from, reply, id + 1, &[])), DROP, "id {id}");
        }
        assert_eq!(datapath.pod_gets(&icmp(to, from, 9, 0, &[])), DROP, "what is no reply");
    }
}

#[test]
fn a_miss_in_mid_connection_passes_where_either_orientation_is_allowed() {
    let egress = port_rule(FRIEND, Direction::Egress, TCP, 80);
    let ingress = port_rule(FRIEND, Direction::Ingress, TCP, 1000);
    for (name, rule, sends, flags, verdict) in [
        ("data, allowed as it goes", egress, true, ACK, PASS),
        ("data, allowed as a reply", ingress, true, ACK, PASS),
        ("data from the peer, allowed as it goes", ingress, false, ACK, PASS),
        ("data from the peer, allowed as a reply", egress, false, ACK, PASS),
        ("an answer to a SYN that nobody saw", egress, false, SYN | ACK, PASS),
        ("a reset", egress, false, RST, PASS),
        ("a SYN has one orientation", egress, false, SYN, DROP),
        ("neither", port_rule(FRIEND, Direction::Egress, TCP, 81), true, ACK, DROP),
    ] {
        let mut datapath = isolated(Mode::Enforce);
        datapath.rule(rule, 1);
        let step = |datapath: &mut Datapath| {
            if sends { datapath.pod_sends(&out(flags)) } else { datapath.pod_gets(&back(flags)) }
        };
        assert_eq!(step(&mut datapath), verdict, "{name}");
        assert_eq!(datapath.count(Counter::MidConnection), u64::from(verdict == PASS), "{name}");
        if verdict == DROP {
            continue;
        }
        let trace = if sends { "to-stack unknown" } else { "to-endpoint unknown" };
        assert_eq!(told(&mut datapath), [trace], "{name}");
        assert_eq!(datapath.connections()[0].1.flags, CONNECTION_UNORIENTED, "{name}");
        datapath.next_revision();
        assert_eq!(step(&mut datapath), PASS, "{name}: judged again in the same way");
        datapath.forget_rule(rule);
        datapath.next_revision();
        assert_eq!(step(&mut datapath), DROP, "{name}: the rule is gone");
    }
}

#[test]
fn without_isolation_a_miss_in_mid_connection_is_only_unoriented() {
    let mut datapath = world(Load::default());
    assert_eq!(datapath.pod_sends(&out(ACK)), PASS);
    assert_eq!(datapath.pod_gets(&back(ACK)), PASS);
    assert_eq!(told(&mut datapath), ["to-stack unknown", "to-endpoint unknown"]);
    assert_eq!(datapath.count(Counter::MidConnection), 0);
}

#[test]
fn what_passes_only_as_a_reply_in_mid_connection_is_counted() {
    for (isolated_way, counted) in [(POLICY_ISOLATED_INGRESS, 1), (POLICY_ISOLATED_EGRESS, 0)] {
        let mut datapath = isolated(Mode::Enforce);
        datapath.policy(SET, 2, isolated_way | POLICY_ENFORCED);
        assert_eq!(datapath.pod_gets(&back(ACK)), PASS);
        assert_eq!(datapath.count(Counter::MidConnection), counted);
    }
}

#[test]
fn udp_may_have_either_orientation_only_soon_after_the_interface_came() {
    let answer = udp("10.0.0.20:53", POD);
    for (until, verdict, events) in [(u64::MAX, PASS, vec!["to-endpoint unknown"]), (1, DROP, vec![])] {
        let mut datapath = isolated(Mode::Enforce);
        datapath.rule(port_rule(FRIEND, Direction::Egress, UDP, 53), 1);
        let flags = POLICY_ISOLATED_INGRESS | POLICY_ISOLATED_EGRESS | POLICY_ENFORCED;
        let policy = PolicyWord::new(SET, 1, flags).unwrap();
        datapath.endpoint(Endpoint { policy, unjudged_udp_until: until, id: ENDPOINT, identity: IDENTITY });
        assert_eq!(datapath.pod_gets(&answer), verdict);
        let mut lines = told(&mut datapath);
        lines.retain(|line| !line.contains("denied"));
        assert_eq!(lines, events);
    }
}

#[test]
fn udp_that_came_in_by_an_unknown_beginning_is_judged_once_that_is_no_longer_believed() {
    let flags = POLICY_ISOLATED_INGRESS | POLICY_ENFORCED;
    let policy = PolicyWord::new(SET, 1, flags).unwrap();
    let endpoint =
        |unjudged_udp_until| Endpoint { policy, unjudged_udp_until, id: ENDPOINT, identity: IDENTITY };
    let unasked = udp("10.0.0.30:53", POD);
    let mut datapath = isolated(Mode::Enforce);
    datapath.endpoint(endpoint(u64::MAX));
    assert_eq!(
        [datapath.pod_gets(&unasked), datapath.pod_gets(&unasked)],
        [PASS, PASS],
        "it may be an answer"
    );
    datapath.endpoint(endpoint(1));
    assert_eq!(
        [datapath.pod_gets(&unasked), datapath.pod_gets(&unasked)],
        [DROP, DROP],
        "now it must be one"
    );
}

#[test]
fn a_revision_that_closes_a_connection_stops_its_next_packet_either_way() {
    let rule = port_rule(FRIEND, Direction::Egress, TCP, 80);
    for sends in [true, false] {
        // always a packet of the same direction, so that it is the one that is judged
        let step = |datapath: &mut Datapath| {
            if sends { datapath.pod_sends(&out(ACK)) } else { datapath.pod_gets(&back(ACK)) }
        };
        let mut datapath = connected(Load::default());
        datapath.next_revision();
        assert_eq!(step(&mut datapath), PASS);
        let lines = told(&mut datapath);
        assert!(
            !lines.iter().any(|line| line.starts_with("policy")),
            "the same outcome is not told again: {lines:?}"
        );
        datapath.forget_rule(rule);
        datapath.next_revision();
        let twice = [step(&mut datapath), step(&mut datapath)];
        assert_eq!(twice, [DROP, DROP], "no miss in mid-connection opens it again");
        let state = if sends { "established" } else { "reply" };
        let pair = [format!("policy 0 denied {state}"), format!("drop 133 denied {state}")];
        assert_eq!(told(&mut datapath), [pair.clone(), pair].concat());
        datapath.rule(rule, 1);
        datapath.next_revision();
        assert_eq!(step(&mut datapath), PASS, "it is open again");
    }
}

#[test]
fn a_connection_that_policy_has_closed_is_marked_until_it_is_open_again() {
    let rule = port_rule(FRIEND, Direction::Egress, TCP, 80);
    let mut datapath = connected(Load::default());
    let entry = |datapath: &Datapath| datapath.connections()[0].1;
    let before = entry(&datapath);
    assert_eq!(before.flags, 0);
    datapath.forget_rule(rule);
    datapath.next_revision();
    assert_eq!(entry(&datapath).flags, 0, "nothing has met the new policy yet");
    for sends in [true, false] {
        let verdict = if sends { datapath.pod_sends(&out(ACK)) } else { datapath.pod_gets(&back(ACK)) };
        assert_eq!(verdict, DROP);
        assert_eq!(
            entry(&datapath),
            Connection { flags: CONNECTION_DENIED, ..before },
            "dropped packets do not count"
        );
    }
    datapath.mode(Mode::Audit);
    assert_eq!(datapath.pod_sends(&out(ACK)), PASS);
    assert_eq!(entry(&datapath).flags, CONNECTION_AUDITED);
    datapath.mode(Mode::Enforce);
    assert_eq!(datapath.pod_sends(&out(ACK)), DROP);
    datapath.rule(rule, 1);
    datapath.next_revision();
    assert_eq!(datapath.pod_sends(&out(ACK)), PASS);
    assert_eq!(entry(&datapath).flags, 0);
}

#[test]
fn a_connection_began_with_its_first_packet_and_anew_with_each_syn_that_begins_one() {
    let mut datapath = world(Load::default());
    let entry = |datapath: &Datapath| datapath.connections()[0].1;
    let later = || sleep(Duration::from_millis(20));
    datapath.pod_sends(&out(SYN));
    let first = entry(&datapath);
    assert!(first.began > 0 && first.began == first.last_seen);
    for (sends, flags) in [(true, SYN), (false, SYN | ACK), (true, ACK), (true, ACK | FIN)] {
        later();
        let before = entry(&datapath);
        if sends {
            datapath.pod_sends(&out(flags))
        } else {
            datapath.pod_gets(&back(flags))
        };
        let now = entry(&datapath);
        assert_eq!(now.began, first.began);
        assert!(now.last_seen > before.last_seen);
    }
    later();
    datapath.pod_sends(&out(SYN));
    let anew = entry(&datapath);
    assert!(anew.began > first.began && anew.began == anew.last_seen);
}

#[test]
fn a_change_of_mode_judges_every_connection_again() {
    let mut datapath = isolated(Mode::Audit);
    assert_eq!((datapath.pod_sends(&out(SYN)), datapath.pod_gets(&back(SYN | ACK))), (PASS, PASS));
    assert_eq!(datapath.connections()[0].1.flags, CONNECTION_AUDITED);
    datapath.mode(Mode::Enforce);
    assert_eq!((datapath.pod_sends(&out(ACK)), datapath.pod_gets(&back(ACK))), (DROP, DROP));
    datapath.mode(Mode::Off);
    told(&mut datapath);
    assert_eq!(datapath.pod_sends(&out(ACK)), PASS);
    assert_eq!(datapath.connections()[0].1.flags, 0);
    datapath.mode(Mode::Audit);
    assert_eq!(datapath.pod_sends(&out(ACK)), PASS);
    assert_eq!(told(&mut datapath), ["to-stack established", "policy 0 audited established"]);
    datapath.rule(peer_rule(FRIEND, Direction::Egress), 9);
    datapath.next_revision();
    assert_eq!(datapath.pod_sends(&out(ACK)), PASS);
    assert_eq!(told(&mut datapath), ["policy 1 allowed established"], "an outcome that changed is told");
}

/// Whether the only connection is over now, by the rules of user space.
fn is_over(datapath: &Datapath, load: Load) -> bool {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    let lifetimes = Lifetimes {
        tcp_opening: nanos(load.tcp_opening),
        tcp_established: nanos(load.tcp_established),
        tcp_closed: nanos(load.tcp_closed),
        other: nanos(load.other),
    };
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    let [(key, connection)] = datapath.connections()[..] else { panic!("one connection") };
    connection.is_over(key.protocol, nanos(Duration::from(now)), &lifetimes)
}

#[test]
fn connections_end_by_silence() {
    let (short, long) = (Duration::from_millis(60), Duration::from_secs(1000));
    let slow = Load { event_interval: Duration::from_millis(40), ..Load::default() };
    let all = Load { tcp_opening: long, tcp_established: long, tcp_closed: long, other: long, ..slow };
    let open: Steps = &[(true, SYN), (false, SYN | ACK), (true, ACK)];
    let cases: [(&str, Load, Steps, bool); 8] = [
        ("a SYN", Load { tcp_opening: short, ..all }, &[(true, SYN)], true),
        ("an answered SYN", Load { tcp_opening: short, ..all }, &[(true, SYN), (false, SYN | ACK)], true),
        ("an open one, by the time of a SYN", Load { tcp_opening: short, ..all }, open, false),
        ("an open one", Load { tcp_established: short, ..all }, open, true),
        ("an open one, by the time of others", Load { other: short, tcp_closed: short, ..all }, open, false),
        ("a reset one", Load { tcp_closed: short, ..all }, &[(true, SYN), (false, RST)], true),
        (
            "a half-closed one",
            Load { tcp_closed: short, ..all },
            &[(true, SYN), (true, ACK), (true, FIN)],
            false,
        ),
        (
            "a closed one",
            Load { tcp_closed: short, ..all },
            &[(true, SYN), (true, ACK), (true, FIN), (false, FIN | ACK)],
            true,
        ),
    ];
    for (name, load, steps, ends) in cases {
        let mut datapath = world(load);
        for (sends, flags) in steps {
            if *sends {
                datapath.pod_sends(&out(*flags))
            } else {
                datapath.pod_gets(&back(*flags))
            };
        }
        told(&mut datapath);
        sleep(Duration::from_millis(80));
        assert_eq!(is_over(&datapath, load), ends, "{name}, as user space judges it");
        datapath.pod_sends(&out(ACK));
        let expected = if ends { "to-stack unknown" } else { "to-stack established" };
        assert_eq!(told(&mut datapath), [expected], "{name}");
    }
    let mut datapath = world(Load { other: short, ..all });
    let query = udp(POD, "10.0.0.20:53");
    datapath.pod_sends(&query);
    assert!(!is_over(&datapath, Load { other: long, ..all }), "udp, as user space judges it");
    sleep(Duration::from_millis(80));
    assert!(is_over(&datapath, Load { other: short, ..all }), "udp, as user space judges it");
    datapath.pod_sends(&query);
    assert_eq!(told(&mut datapath), ["to-stack new", "to-stack new"], "udp");
}
