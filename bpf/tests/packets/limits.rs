//! Rate limits, and what is lost.

use crate::craft::{ACK, FIN, SYN, tcp, udp};
use crate::datapath::{DROP, Load, PASS};
use crate::told::told;
use crate::world::{isolated, isolated_with, world};
use palomar_bpf::abi::{Counter, EventKind, Mode};
use std::thread::sleep;
use std::time::Duration;

const POD: &str = "10.0.0.10:1000";

#[test]
fn a_flood_of_denied_packets_is_told_ten_times_and_then_with_what_was_left_out() {
    let refill = Duration::from_millis(200);
    let mut datapath = isolated_with(Mode::Enforce, Load { limit_refill: refill, ..Load::default() });
    // other source ports are the same peer and port
    for port in 0..30 {
        assert_eq!(
            datapath.pod_sends(&tcp(&format!("10.0.0.10:{}", 2000 + port), "10.0.0.20:80", SYN)),
            DROP
        );
    }
    let events = datapath.events();
    assert_eq!(events.len(), 20, "ten verdicts, ten drops");
    assert!(events.iter().all(|event| event.suppressed == 0));
    assert_eq!(datapath.count(Counter::Suppressed), 40, "events, not packets");
    assert_eq!(datapath.count(Counter::Dropped), 30);
    sleep(refill + Duration::from_millis(20));
    for _ in 0..3 {
        datapath.pod_sends(&tcp(POD, "10.0.0.20:80", SYN));
    }
    let pair: Vec<_> = datapath.events().iter().map(|event| (event.kind, event.suppressed)).collect();
    assert_eq!(pair, [(EventKind::PolicyVerdict.number(), 20), (EventKind::Drop.number(), 20)]);
    assert_eq!(datapath.count(Counter::Suppressed), 44);
}

#[test]
fn each_peer_port_protocol_and_direction_has_its_own_limit() {
    let mut datapath = isolated(Mode::Enforce);
    for _ in 0..50 {
        datapath.pod_sends(&tcp(POD, "10.0.0.20:80", SYN));
    }
    datapath.events();
    for (name, frame, sends) in [
        ("another peer", tcp(POD, "10.0.0.30:80", SYN), true),
        ("another port", tcp(POD, "10.0.0.20:81", SYN), true),
        ("another protocol", udp(POD, "10.0.0.20:80"), true),
        ("another direction", tcp("10.0.0.20:1000", "10.0.0.10:80", SYN), false),
    ] {
        if sends {
            datapath.pod_sends(&frame)
        } else {
            datapath.pod_gets(&frame)
        };
        assert_eq!(datapath.events().len(), 2, "{name}");
    }
}

#[test]
fn audited_verdicts_are_limited_and_traces_are_not() {
    let mut datapath = isolated(Mode::Audit);
    for port in 0..15 {
        assert_eq!(
            datapath.pod_sends(&tcp(&format!("10.0.0.10:{}", 2000 + port), "10.0.0.20:80", SYN)),
            PASS
        );
    }
    let lines = told(&mut datapath);
    assert_eq!(lines.iter().filter(|line| *line == "policy 0 audited new").count(), 10);
    assert_eq!(lines.iter().filter(|line| *line == "to-stack new").count(), 15);
    assert_eq!(datapath.count(Counter::Suppressed), 5);
}

#[test]
fn the_tokens_never_exceed_the_burst() {
    let refill = Duration::from_millis(10);
    let mut datapath =
        isolated_with(Mode::Enforce, Load { limit_refill: refill, limit_burst: 2, ..Load::default() });
    datapath.pod_sends(&tcp(POD, "10.0.0.20:80", SYN));
    sleep(refill * 20);
    datapath.events();
    // far more packets than fit into one refill
    for _ in 0..10 {
        datapath.pod_sends(&tcp(POD, "10.0.0.20:80", SYN));
    }
    let drops = datapath.events().len() / 2;
    assert!((2..=6).contains(&drops), "{drops}");
}

#[test]
fn what_does_not_fit_the_ring_is_counted_by_kind() {
    let events = 200;
    let tiny = Load { ring_bytes: 4096, limit_burst: u32::MAX, ..Load::default() };
    let mut datapath = isolated_with(Mode::Enforce, tiny);
    for _ in 0..events {
        datapath.pod_sends(&tcp(POD, "10.0.0.20:80", SYN));
    }
    let kept = datapath.events();
    let kept_drops = kept.iter().filter(|event| event.kind == EventKind::Drop.number()).count() as u64;
    let kept_verdicts = kept.len() as u64 - kept_drops;
    assert!(kept_drops > 0 && kept_drops < events);
    assert_eq!(kept_drops + datapath.count(Counter::LostDrop), events);
    assert_eq!(kept_verdicts + datapath.count(Counter::LostPolicyVerdict), events);
    assert_eq!(kept_drops, datapath.count(Counter::ToldDrop), "told is what went into the ring");
    assert_eq!(kept_verdicts, datapath.count(Counter::ToldPolicyVerdict));

    let mut datapath = world(tiny);
    for _ in 0..events {
        assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.20:80", SYN | FIN)), PASS);
    }
    let kept = datapath.events().len() as u64;
    assert!(kept > 0 && kept < events);
    assert_eq!(kept + datapath.count(Counter::LostTrace), events);
    assert_eq!(kept, datapath.count(Counter::ToldTrace));
    assert_eq!(datapath.count(Counter::Forwarded), events);
    assert_eq!(datapath.pod_sends(&tcp(POD, "10.0.0.20:80", ACK)), PASS);
}
