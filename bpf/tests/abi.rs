//! The Rust mirror against the BTF of the header as clang built it: sizes, names, offsets, numbers. `c/abi.bpf.c` names every
//! type.

#[cfg(test)]
mod abi_support {
    pub mod btf;
}
mod built {
    include!(concat!(env!("OUT_DIR"), "/objects.rs"));
}

use abi_support::btf::Btf;
use palomar_bpf::abi::*;
use std::mem::{offset_of, size_of};

/// Checks a struct with every field: a field of C that is not listed fails as well.
macro_rules! same_layout {
    ($btf:expr, $c:literal, $rust:ty { $($field:ident),+ $(,)? }) => {{
        let expected: Vec<(String, u32)> = vec![$((
            stringify!($field).to_owned(),
            u32::try_from(offset_of!($rust, $field)).unwrap(),
        )),+];
        let (size, fields) = $btf.structure($c);
        assert_eq!(fields, expected, "fields of {}", $c);
        assert_eq!(size as usize, size_of::<$rust>(), "size of {}", $c);
    }};
}

#[test]
fn structs_have_the_layout_of_the_header() {
    let btf = Btf::of_object(built::ABI);
    same_layout!(btf, "endpoint", Endpoint { policy, unjudged_udp_until, id, identity });
    same_layout!(btf, "settings", Settings { mode, epoch, heartbeat, stale_after });
    same_layout!(btf, "address", Address { identity, class, endpoint, flags });
    same_layout!(btf, "cidr_key", CidrKey { prefix_len, address });
    same_layout!(btf, "node_port", NodePort { port, protocol, family });
    same_layout!(btf, "rule_key", RuleKey { prefix_len, set, peer, direction, protocol, port });
    same_layout!(btf, "rule", Rule { rule_set, prefix_len });
    same_layout!(
        btf,
        "connection_key",
        ConnectionKey { local, remote, local_port, remote_port, protocol, asked, pad, ifindex }
    );
    same_layout!(
        btf,
        "connection",
        Connection {
            policy,
            began,
            last_seen,
            last_event,
            packets,
            bytes,
            epoch,
            flags_seen,
            origin,
            flags,
            rule_set,
            class_rule_set,
        }
    );
    same_layout!(btf, "fragment_key", FragmentKey { local, remote, id, ifindex, protocol, direction, pad });
    same_layout!(btf, "fragment", Fragment { local_port, remote_port, protocol, icmp_type, pad });
    same_layout!(btf, "limit_key", LimitKey { peer, ifindex, port, protocol, direction });
    same_layout!(btf, "limit", Limit { refilled_at, tokens, suppressed });
    same_layout!(btf, "place", Place { name });
    same_layout!(
        btf,
        "event",
        Event {
            time,
            version,
            kind,
            detail,
            verdict,
            direction,
            state,
            family,
            protocol,
            source,
            destination,
            source_port,
            destination_port,
            tcp_flags,
            icmp_type,
            icmp_code,
            flags,
            source_identity,
            destination_identity,
            ifindex,
            endpoint,
            policy,
            rule_set,
            class_rule_set,
            suppressed,
            class,
            packets,
            bytes,
        }
    );
}

/// Checks an enum with every value.
fn same_numbers(btf: &Btf, c: &str, expected: &[(&str, u32)]) {
    let expected: Vec<(String, u32)> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(btf.enumeration(c), expected, "values of enum {c}");
}

#[test]
fn enums_have_the_numbers_of_the_header() {
    let btf = Btf::of_object(built::ABI);
    let direction = |value: Direction| u32::from(value.number());
    same_numbers(
        &btf,
        "direction",
        &[
            ("DIRECTION_INGRESS", direction(Direction::Ingress)),
            ("DIRECTION_EGRESS", direction(Direction::Egress)),
        ],
    );
    same_numbers(
        &btf,
        "policy_flag",
        &[
            ("POLICY_ISOLATED_INGRESS", POLICY_ISOLATED_INGRESS.into()),
            ("POLICY_ISOLATED_EGRESS", POLICY_ISOLATED_EGRESS.into()),
            ("POLICY_ENFORCED", POLICY_ENFORCED.into()),
            ("POLICY_CHECK_SOURCE", POLICY_CHECK_SOURCE.into()),
        ],
    );
    same_numbers(
        &btf,
        "mode",
        &[
            ("MODE_OFF", Mode::Off.number()),
            ("MODE_AUDIT", Mode::Audit.number()),
            ("MODE_ENFORCE", Mode::Enforce.number()),
        ],
    );
    same_numbers(
        &btf,
        "address_flag",
        &[("ADDRESS_NODE", ADDRESS_NODE), ("ADDRESS_SERVICE", ADDRESS_SERVICE)],
    );
    same_numbers(
        &btf,
        "identity",
        &[
            ("IDENTITY_ANY", IDENTITY_ANY),
            ("IDENTITY_HOST", IDENTITY_HOST),
            ("IDENTITY_WORLD", IDENTITY_WORLD),
            ("IDENTITY_UNMANAGED", IDENTITY_UNMANAGED),
        ],
    );
    same_numbers(
        &btf,
        "connection_flag",
        &[
            ("CONNECTION_AUDITED", CONNECTION_AUDITED.into()),
            ("CONNECTION_UNORIENTED", CONNECTION_UNORIENTED.into()),
            ("CONNECTION_MASKED", CONNECTION_MASKED.into()),
            ("CONNECTION_DENIED", CONNECTION_DENIED.into()),
        ],
    );
    same_numbers(
        &btf,
        "drop_code",
        &[
            ("DROP_INVALID_SOURCE", DROP_INVALID_SOURCE.into()),
            ("DROP_POLICY_DENIED", DROP_POLICY_DENIED.into()),
            ("DROP_INVALID_PACKET", DROP_INVALID_PACKET.into()),
            ("DROP_EXTENSION_HEADERS", DROP_EXTENSION_HEADERS.into()),
        ],
    );
    same_numbers(
        &btf,
        "event_flag",
        &[("EVENT_SOURCE_MASKED", EVENT_SOURCE_MASKED.into()), ("EVENT_FOREIGN", EVENT_FOREIGN.into())],
    );
}

/// Checks an enum whose values on our side are listed by the type itself.
macro_rules! same_values {
    ($btf:expr, $c:literal, $rust:ident { $($c_name:ident = $value:ident),+ $(,)? }) => {{
        same_numbers($btf, $c, &[$((stringify!($c_name), u32::from($rust::$value.number()))),+]);
        assert_eq!([$($rust::$value),+].len(), $rust::ALL.len(), "values of {}", stringify!($rust));
    }};
}

#[test]
fn the_enums_of_events_have_the_numbers_of_the_header() {
    let btf = &Btf::of_object(built::ABI);
    same_values!(btf, "event_kind", EventKind {
        EVENT_DROP = Drop, EVENT_TRACE = Trace, EVENT_POLICY_VERDICT = PolicyVerdict,
    });
    same_values!(btf, "event_verdict", Verdict {
        VERDICT_FORWARDED = Forwarded, VERDICT_DROPPED = Dropped, VERDICT_AUDIT = Audit,
    });
    same_values!(btf, "event_point", Point {
        POINT_TO_ENDPOINT = ToEndpoint, POINT_TO_STACK = ToStack, POINT_FROM_ENDPOINT = FromEndpoint
    });
    same_values!(btf, "event_state", State {
        STATE_UNKNOWN = Unknown, STATE_NEW = New, STATE_ESTABLISHED = Established, STATE_REPLY = Reply,
        STATE_RELATED = Related,
    });
    same_values!(btf, "match_type", MatchType {
        MATCH_NONE = None, MATCH_L3_ONLY = L3Only, MATCH_L3_L4 = L3L4, MATCH_L4_ONLY = L4Only, MATCH_ALL = All,
        MATCH_L3_PROTO = L3Proto, MATCH_PROTO_ONLY = ProtoOnly,
    });
}

#[test]
fn the_counters_are_those_of_the_header_and_their_number_closes_them() {
    let btf = Btf::of_object(built::ABI);
    let count = u32::try_from(COUNTERS).unwrap();
    same_numbers(
        &btf,
        "counter",
        &[
            ("COUNTER_LOST_DROP", Counter::LostDrop.number()),
            ("COUNTER_LOST_TRACE", Counter::LostTrace.number()),
            ("COUNTER_LOST_POLICY_VERDICT", Counter::LostPolicyVerdict.number()),
            ("COUNTER_SUPPRESSED", Counter::Suppressed.number()),
            ("COUNTER_MID_CONNECTION", Counter::MidConnection.number()),
            ("COUNTER_MALFORMED", Counter::Malformed.number()),
            ("COUNTER_CONNECTIONS_FULL", Counter::ConnectionsFull.number()),
            ("COUNTER_STALE_AUDIT", Counter::StaleAudit.number()),
            ("COUNTER_FORWARDED", Counter::Forwarded.number()),
            ("COUNTER_DROPPED", Counter::Dropped.number()),
            ("COUNTER_TOLD_DROP", Counter::ToldDrop.number()),
            ("COUNTER_TOLD_TRACE", Counter::ToldTrace.number()),
            ("COUNTER_TOLD_POLICY_VERDICT", Counter::ToldPolicyVerdict.number()),
            ("COUNTERS", count),
        ],
    );
}

/// `#define`s leave no BTF; these are read from the header itself.
#[test]
fn defines_have_the_values_of_the_header() {
    let header = include_str!("../c/abi.h");
    let define = |name: &str| -> u64 {
        let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define {name} ")));
        let value = line.unwrap_or_else(|| panic!("abi.h has no #define {name}"));
        let number = value.split_whitespace().next().unwrap().trim_end_matches(['U', 'L']);
        match number.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
            None => number.parse().unwrap(),
        }
    };
    assert_eq!(define("PALOMAR_ABI_VERSION"), u64::from(ABI_VERSION));
    assert_eq!(define("ENDPOINTS_DENSE"), u64::from(ENDPOINTS_DENSE));
    assert_eq!(define("PEER_CLASS"), u64::from(PEER_CLASS));
    assert_eq!(define("DIRECTION_SERVICE"), u64::from(DIRECTION_SERVICE));
    assert_eq!(define("RULES_LATER"), u64::from(RULES_LATER));
    assert_eq!(define("RULE_PREFIX_PEER"), u64::from(RULE_PREFIX_PEER));
    assert_eq!(define("RULE_PREFIX_PROTOCOL"), u64::from(RULE_PREFIX_PROTOCOL));
    assert_eq!(define("RULE_PREFIX_PORT"), u64::from(RULE_PREFIX_PORT));
    assert_eq!(define("POLICY_SET_MASK"), u64::from(PolicyWord::MAX_SET));
    let Lifetimes { tcp_opening, tcp_established, tcp_closed, other } = Lifetimes::default();
    assert_eq!(define("LIFETIME_TCP_OPENING"), tcp_opening);
    assert_eq!(define("LIFETIME_TCP_ESTABLISHED"), tcp_established);
    assert_eq!(define("LIFETIME_TCP_CLOSED"), tcp_closed);
    assert_eq!(define("LIFETIME_OTHER"), other);
    let word = PolicyWord::new(5, 7, 9).unwrap().0;
    assert_eq!(word & define("POLICY_REVISION_MASK"), 7);
    assert_eq!(word >> define("POLICY_SET_SHIFT") & define("POLICY_SET_MASK"), 5);
    assert_eq!(word >> define("POLICY_FLAGS_SHIFT"), 9);
}
