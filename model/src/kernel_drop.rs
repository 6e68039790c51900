//! Packets that the kernel dropped by itself: which of Hubble's codes comes nearest to its reason.

use crate::drop_reason::DropReason;

/// What is said of a reason that no code of Hubble's comes near: a code without name or text.
pub const NO_CODE: DropReason = DropReason(255);

/// The function that drops a packet whose TTL has run out, of either IP version. The reason is that of a bad header.
const FORWARDING: [&str; 2] = ["ip_forward", "ip6_forward"];

/// "Policy denied by denylist".
const BY_RULE: DropReason = DropReason(181);

/// Codes and the kernel's reasons (`enum skb_drop_reason` without its prefix) that they stand for.
const CODES: [(u8, &[&str]); 12] = [
    // Invalid source ip
    (132, &["IP_RPFILTER", "IP_LOCAL_SOURCE", "IP_INVALID_SOURCE"]),
    // Invalid packet
    (
        134,
        &[
            "PKT_TOO_SMALL",
            "HDR_TRUNC",
            "IP_INHDR",
            "IP_CSUM",
            "TCP_CSUM",
            "UDP_CSUM",
            "ICMP_CSUM",
            "SKB_CSUM",
            "TCP_FLAGS",
            "TCP_INVALID_SYN",
        ],
    ),
    // Fragmentation needed
    (136, &["PKT_TOO_BIG"]),
    // Unsupported L3 protocol
    (139, &["IPV6DISABLED", "UNHANDLED_PROTO"]),
    // Unknown L4 protocol
    (142, &["IP_NOPROTO"]),
    // Unknown L3 target address
    (150, &["NEIGH_CREATEFAIL", "NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD"]),
    // Stale or unroutable IP
    (151, &["IP_INADDRERRORS", "IP_INVALID_DEST", "IP_LOCALNET"]),
    // FIB lookup failed
    (169, &["IP_INNOROUTES", "IP_OUTNOROUTES"]),
    // Socket lookup failed
    (178, &["NO_SOCKET"]),
    (
        BY_RULE.0,
        &[
            "NETFILTER_DROP",
            "BPF_CGROUP_EGRESS",
            "SOCKET_FILTER",
            "SECURITY_HOOK",
            "XFRM_POLICY",
            "TC_INGRESS",
            "TC_EGRESS",
            "XDP",
        ],
    ),
    // TTL exceeded
    (196, &["TCP_MINTTL"]),
    // Rate limited
    (
        198,
        &[
            "QDISC_DROP",
            "QDISC_OVERLIMIT",
            "QDISC_CONGESTED",
            "CPU_BACKLOG",
            "FULL_RING",
            "SOCKET_RCVBUFF",
            "SOCKET_BACKLOG",
            "TCP_LISTEN_OVERFLOW",
        ],
    ),
];

/// Hubble's code for a reason of the kernel's, given in the function `place`, where that is known. [`NO_CODE`] where none
/// comes near.
pub fn code(reason: &str, place: Option<&str>) -> DropReason {
    if reason == "IP_INHDR" && place.is_some_and(|place| FORWARDING.contains(&place)) {
        return DropReason(196);
    }
    CODES.iter().find(|(_, reasons)| reasons.contains(&reason)).map_or(NO_CODE, |(code, _)| DropReason(*code))
}

/// Whether the packet was dropped by somebody's rule or program, as who enforces policy would, rather than for what it was
/// or where it went.
pub fn is_by_rule(reason: &str, place: Option<&str>) -> bool {
    code(reason, place) == BY_RULE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_by_the_code_that_comes_nearest() {
        let table = [
            ("NETFILTER_DROP", Some("nft_do_chain [nf_tables]"), Some("Policy denied by denylist")),
            ("NO_SOCKET", None, Some("Socket lookup failed")),
            ("IP_INNOROUTES", Some("ip_error"), Some("FIB lookup failed")),
            ("IP_RPFILTER", None, Some("Invalid source ip")),
            ("IP_INHDR", Some("ip_forward"), Some("TTL exceeded")),
            ("IP_INHDR", Some("ip6_forward"), Some("TTL exceeded")),
            ("IP_INHDR", Some("ip_rcv_core"), Some("Invalid packet")),
            ("IP_INHDR", None, Some("Invalid packet")),
            ("FRAG_TOO_FAR", None, None),
            ("4711", None, None),
        ];
        for (reason, place, text) in table {
            assert_eq!(code(reason, place).text(), text, "{reason} at {place:?}");
        }
    }

    #[test]
    fn every_code_has_a_text_and_no_reason_has_two() {
        let mut reasons: Vec<&str> = CODES.iter().flat_map(|(_, reasons)| reasons.iter().copied()).collect();
        for (code, _) in CODES {
            assert!(DropReason(code).name().is_some(), "{code}");
        }
        let count = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), count);
        assert_eq!(NO_CODE.text(), None);
    }
}
