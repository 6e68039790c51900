//! The kernel's verdicts against a naive evaluation of the same rules.

use crate::craft::{ICMP, SCTP, SYN, TCP, UDP, address, frame, icmp_message, ip, transport};
use crate::datapath::{DROP, Datapath, IDENTITY, Load, PASS, Via};
use crate::world::{FRIEND, SET, STRANGER};
use palomar_bpf::abi::{
    Address, Direction, Event, EventKind, IDENTITY_ANY, IDENTITY_WORLD, MatchType, Mode, PEER_CLASS,
    POLICY_ENFORCED, POLICY_ISOLATED_EGRESS, POLICY_ISOLATED_INGRESS, RuleKey,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

/// Address, identity and class of those that packets go to and come from.
const PEERS: [(&str, u32, u32); 5] = [
    ("10.0.0.20", FRIEND, 0),
    ("10.0.0.30", STRANGER, 6),
    ("10.0.0.31", FRIEND, 5),
    ("192.0.2.7", IDENTITY_WORLD, 5),
    ("203.0.113.9", IDENTITY_WORLD, 0),
];
const KEYS: [u32; 6] = [IDENTITY_ANY, FRIEND, STRANGER, IDENTITY_WORLD, PEER_CLASS | 5, PEER_CLASS | 6];

#[derive(Debug, Clone)]
struct Packet {
    peer: usize,
    direction: Direction,
    protocol: u8,
    /// Of the service; not looked at for ICMP.
    port: u16,
}

#[derive(Debug, Clone)]
struct Case {
    rules: BTreeMap<RuleKey, u32>,
    isolation: u8,
    packets: Vec<Packet>,
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Ingress, Direction::Egress])
}

/// Few ports, so that rules and packets meet.
fn port() -> impl Strategy<Value = u16> {
    prop_oneof![0_u16..16, 65_520..=65_535_u16, any::<u16>()]
}

/// Keys as the compiler writes them: bits beyond the prefix are zero.
fn rule() -> impl Strategy<Value = RuleKey> {
    let prefix = prop_oneof![Just(72_u32), Just(80), 81_u32..=96];
    let protocol = prop::sample::select(vec![TCP, UDP, SCTP]);
    let set = prop_oneof![8 => Just(SET), 1 => Just(SET + 1)];
    (prefix, set, prop::sample::select(KEYS.to_vec()), direction(), protocol, port()).prop_map(
        |(prefix_len, set, peer, direction, protocol, port)| {
            let mask = u16::MAX.checked_shl(96 - prefix_len.max(80)).unwrap_or(0);
            let protocol = if prefix_len > 72 { protocol } else { 0 };
            let port = (port & mask).to_be();
            RuleKey { prefix_len, set, peer, direction: direction.number(), protocol, port }
        },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    (0..PEERS.len(), direction(), prop::sample::select(vec![TCP, UDP, SCTP, ICMP]), port())
        .prop_map(|(peer, direction, protocol, port)| Packet { peer, direction, protocol, port })
}

fn case() -> impl Strategy<Value = Case> {
    let rules = prop::collection::btree_map(rule(), 1_u32..1000, 0..12);
    let isolation = prop_oneof![6 => Just(3_u8), 1 => 0_u8..=2];
    (rules, isolation, prop::collection::vec(packet(), 1..12)).prop_map(|(rules, isolation, packets)| Case {
        rules,
        isolation,
        packets,
    })
}

// === the naive evaluation ===

/// The longest rule for this peer key that covers the packet.
fn covering(rules: &BTreeMap<RuleKey, u32>, packet: &Packet, peer: u32) -> Option<(RuleKey, u32)> {
    let covers = |rule: &RuleKey| {
        let ported = packet.protocol != ICMP;
        let first = u16::from_be(rule.port);
        let last = u32::from(first) + (1 << 96_u32.saturating_sub(rule.prefix_len.max(80))) - 1;
        rule.set == SET
            && rule.peer == peer
            && rule.direction == packet.direction.number()
            && match rule.prefix_len {
                72 => true,
                80 => rule.protocol == packet.protocol,
                _ => {
                    ported
                        && rule.protocol == packet.protocol
                        && (u32::from(first)..=last).contains(&u32::from(packet.port))
                }
            }
    };
    rules
        .iter()
        .filter(|(rule, _)| covers(rule))
        .max_by_key(|(rule, _)| rule.prefix_len)
        .map(|(k, v)| (*k, *v))
}

/// Verdict; rule set, class's rule set and match type where rules allow.
type Judgement = (i32, Option<(u32, u32, MatchType)>);

fn naive(case: &Case, packet: &Packet) -> Judgement {
    let isolating = if packet.direction == Direction::Ingress { 1 } else { 2 };
    if case.isolation & isolating == 0 {
        return (PASS, None);
    }
    let (_, identity, class) = PEERS[packet.peer];
    let by_identity = covering(&case.rules, packet, identity);
    let by_class = (class != 0).then(|| covering(&case.rules, packet, PEER_CLASS | class)).flatten();
    // what an identity finds is to hold what is said of any peer
    let by_any = if by_identity.is_none() { covering(&case.rules, packet, IDENTITY_ANY) } else { None };
    // the first of the longest
    let Some((best, _)) =
        [by_any, by_class, by_identity].into_iter().flatten().max_by_key(|(rule, _)| rule.prefix_len)
    else {
        return (DROP, None);
    };
    let any = best.peer == IDENTITY_ANY;
    let matched = match (best.prefix_len, any) {
        (72, false) => MatchType::L3Only,
        (72, true) => MatchType::All,
        (80, false) => MatchType::L3Proto,
        (80, true) => MatchType::ProtoOnly,
        (_, false) => MatchType::L3L4,
        (_, true) => MatchType::L4Only,
    };
    let rule_set = by_identity.or(by_any).map_or(0, |(_, rule_set)| rule_set);
    (PASS, Some((rule_set, by_class.map_or(0, |(_, rule_set)| rule_set), matched)))
}

// === the kernel ===

/// A packet that begins a connection that no other packet of the case is of.
fn crafted(packet: &Packet, nth: u16) -> Vec<u8> {
    let (pod, peer) = ("10.0.0.10", PEERS[packet.peer].0);
    let (source, destination) = if packet.direction == Direction::Egress { (pod, peer) } else { (peer, pod) };
    if packet.protocol == ICMP {
        return frame(&ip(address(source), address(destination), ICMP, &icmp_message(8, 0, nth, &[])));
    }
    let (source, destination) =
        (format!("{source}:{}", 20_000 + nth), format!("{destination}:{}", packet.port));
    transport(&source, &destination, packet.protocol, SYN)
}

fn kernel(datapath: &mut Datapath, packet: &Packet, nth: u16) -> Judgement {
    let via = Via { ingress_ifindex: 9, ..Via::default() };
    let verdict = datapath.run(packet.direction, &crafted(packet, nth), via);
    let events: Vec<Event> = datapath.events();
    let allowed =
        events.iter().find(|event| event.kind == EventKind::PolicyVerdict.number() && event.verdict == 1);
    let rules = allowed.map(|event| {
        (event.rule_set, event.class_rule_set, MatchType::try_from(event.detail).expect("a known match type"))
    });
    (verdict, rules)
}

#[test]
fn the_kernel_judges_as_the_naive_evaluation_does() {
    // one load; each case has its own rules and a revision and endpoint number of its own
    let mut datapath = Datapath::with(Load { limit_burst: u32::MAX, connections: 65_536, ..Load::default() });
    datapath.address(address("10.0.0.10"), Address { identity: IDENTITY, class: 0, endpoint: 77, flags: 0 });
    for (text, identity, class) in PEERS {
        if identity == IDENTITY_WORLD {
            datapath.cidr(address(text), 32, class);
        } else {
            datapath.address(address(text), Address { identity, class, endpoint: 0, flags: 0 });
        }
    }
    datapath.mode(Mode::Enforce);
    let datapath = std::cell::RefCell::new(datapath);
    let cases = Config::default().cases * 8;
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&case(), |case| {
        let mut datapath = datapath.borrow_mut();
        datapath.forget_connections();
        for (rule, rule_set) in &case.rules {
            datapath.rule(*rule, *rule_set);
        }
        let isolation = [0, POLICY_ISOLATED_INGRESS, POLICY_ISOLATED_EGRESS][usize::from(case.isolation % 3)]
            | if case.isolation == 3 { POLICY_ISOLATED_INGRESS | POLICY_ISOLATED_EGRESS } else { 0 };
        datapath.policy(SET, 1, isolation | POLICY_ENFORCED);
        let judged: Vec<Judgement> =
            (0..).zip(&case.packets).map(|(nth, packet)| kernel(&mut datapath, packet, nth)).collect();
        for rule in case.rules.keys() {
            datapath.forget_rule(*rule);
        }
        let expected: Vec<Judgement> = case.packets.iter().map(|packet| naive(&case, packet)).collect();
        prop_assert_eq!(judged, expected);
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
}
