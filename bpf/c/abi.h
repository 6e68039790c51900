/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the BPF programs and user space share. The Rust mirror is src/abi.rs; tests/abi.rs compares the two over
 * the BTF of the built object. Any change of a layout or of a meaning here: raise PALOMAR_ABI_VERSION.
 *
 * Addresses are 16 bytes, IPv4 mapped into IPv6 (::ffff:a.b.c.d). Ports are in network order. Times are
 * nanoseconds of CLOCK_MONOTONIC. */
#pragma once
#include "kernel.h"

#define PALOMAR_ABI_VERSION 6

/* Directions as the pod sees them; the numbers are Hubble's. */
enum direction { DIRECTION_INGRESS = 1, DIRECTION_EGRESS = 2 };

/* endpoint.policy and connection.policy: bits 0-31 revision, 32-55 policy set, 56-63 these flags. */
#define POLICY_REVISION_MASK 0xffffffffULL
#define POLICY_SET_SHIFT 32
#define POLICY_SET_MASK 0xffffffULL
enum policy_flag {
  POLICY_ISOLATED_INGRESS = 1 << 0, /* some policy isolates this direction */
  POLICY_ISOLATED_EGRESS = 1 << 1,
  POLICY_ENFORCED = 1 << 2,         /* denied packets of this endpoint are dropped in MODE_ENFORCE */
  POLICY_CHECK_SOURCE = 1 << 3,     /* the endpoint is a pod whose addresses are known: judge source addresses */
};
#define POLICY_FLAGS_SHIFT 56

/* One observed interface. Map `endpoints`: array by ifindex below ENDPOINTS_DENSE (mapped by user space, `policy`
 * stored as one aligned word); map `endpoints_high`: hash for the rest. id 0: not observed. */
#define ENDPOINTS_DENSE 65536
struct endpoint {
  __u64 policy;
  __u64 unjudged_udp_until; /* until then a UDP packet of an unknown connection may have either orientation */
  __u32 id;                 /* the endpoint number that flows show: the interface index */
  __u32 identity;           /* internal identity of the pod behind the interface */
};

/* Map `settings`, entry 0. */
enum mode { MODE_OFF = 0, MODE_AUDIT = 1, MODE_ENFORCE = 2 };
struct settings {
  __u32 mode;         /* enum mode; with `epoch` one aligned word, stored at once */
  __u32 epoch;        /* raised with every change of mode: every connection is judged again */
  __u64 heartbeat;    /* when the agent last said that it lives */
  __u64 stale_after;  /* 0: keep enforcing without an agent; else audit once the heartbeat is older than this */
};

/* Map `addresses`: hash, address -> this. Absent: world, with the class that map `cidrs` gives. */
enum address_flag {
  ADDRESS_NODE = 1 << 0,    /* an address of this node's own interfaces */
  ADDRESS_SERVICE = 1 << 1, /* a service's: whoever connects to it is rewritten to one of its backends later */
};
struct address {
  __u32 identity; /* internal identity */
  __u32 class;    /* CIDR class, 0: in no policy's ipBlock; ADDRESS_SERVICE: the number of the service's backends */
  __u32 endpoint; /* endpoint.id when the address belongs to a local, observed pod; else 0 */
  __u32 flags;    /* enum address_flag */
};

/* Map `cidrs`: LPM trie, longest prefix of an address -> class (__u32). */
struct cidr_key {
  __u32 prefix_len; /* of the mapped address: 96 + n for an IPv4 prefix of n bits */
  __u8 address[16];
};

/* Map `node_ports`: hash, a port that services have at this node's own addresses -> the number of the backends (__u32)
 * that connections from pods to it are rewritten to. Absent: the node's own port. */
struct node_port {
  __u16 port;    /* network order */
  __u8 protocol;
  __u8 family;   /* 4 or 6 */
};

/* Internal identities that the programs themselves know. 0 as a policy key: any peer. */
enum identity { IDENTITY_ANY = 0, IDENTITY_HOST = 1, IDENTITY_WORLD = 2, IDENTITY_UNMANAGED = 3 };
/* A CIDR class as a policy key. */
#define PEER_CLASS 0x80000000U
/* Egress to a service as the direction of a policy key: the peer is the number of the service's backends, the port the
 * service's, or its node port. What is found was made from the backends. */
#define DIRECTION_SERVICE 3
/* The rule set of a service's port whose backends differ: the connection is judged where its packets are delivered. */
#define RULES_LATER 0xffffffffU

/* Map `rules`: LPM trie. Full prefix 96 bits: set, peer, direction, protocol, port. A rule for all ports of a
 * protocol has prefix RULE_PREFIX_PROTOCOL, one for all protocols RULE_PREFIX_PEER; a range of ports stands
 * as prefixes of the port. The most specific entry is found, so its rule set must hold every rule of the less
 * specific entries of the same peer as well; an identity's entries hold what is said of any peer too, which is asked for
 * only where they find none. */
#define RULE_PREFIX_PEER 72      /* set 32 + peer 32 + direction 8 */
#define RULE_PREFIX_PROTOCOL 80  /* + protocol 8 */
#define RULE_PREFIX_PORT 96      /* + port 16 */
struct rule_key {
  __u32 prefix_len;
  __u32 set;
  __u32 peer;       /* internal identity, PEER_CLASS | class, or IDENTITY_ANY; DIRECTION_SERVICE: number of backends */
  __u8 direction;   /* enum direction, or DIRECTION_SERVICE */
  __u8 protocol;
  __u16 port;       /* network order; destination port of the connection */
};
struct rule {
  __u32 rule_set; /* interned id of the set of rules that allow, or RULES_LATER; never 0 */
  __u32 prefix_len; /* of the key, so that the match type can be told */
};

/* Map `connections`: LRU hash. `local` is the pod's side, so one key serves both directions. */
struct connection_key {
  __u8 local[16];
  __u8 remote[16];
  __u16 local_port; /* ICMP query (echo and its like): the identifier in both ports; other portless protocols: 0 */
  __u16 remote_port;
  __u8 protocol;
  __u8 asked;       /* ICMP: direction of the query, or of a message that answers nothing; else 0 */
  __u8 pad[2];
  __u32 ifindex;
};
enum connection_flag {
  CONNECTION_AUDITED = 1 << 0,      /* policy would have denied it */
  CONNECTION_UNORIENTED = 1 << 1,   /* first seen in mid-connection: which end began is not known */
  CONNECTION_MASKED = 1 << 2,       /* its packets from the peer carry a node address that hides the real source */
  CONNECTION_DENIED = 1 << 3,       /* policy has closed it: its last packet was dropped, and is not counted */
};
/* After so many nanoseconds without a packet a connection is over, and the next packet begins another: of TCP before
 * the beginning end has acknowledged, from then on, and once it is closed both ways or reset; of everything else. The
 * loader may override each, as cfg_tcp_opening_ns and so on. */
#define LIFETIME_TCP_OPENING 60000000000ULL
#define LIFETIME_TCP_ESTABLISHED 7200000000000ULL
#define LIFETIME_TCP_CLOSED 10000000000ULL
#define LIFETIME_OTHER 60000000000ULL
/* Index 0 of the pairs: ingress; 1: egress. */
struct connection {
  __u64 policy;        /* endpoint.policy when it was judged; 0: passes by a stale heartbeat or an unknown beginning only, judge each packet */
  __u64 began;         /* when its first packet was seen */
  __u64 last_seen;
  __u64 last_event[2];
  __u64 packets[2];    /* GSO segments counted */
  __u64 bytes[2];
  __u32 epoch;         /* settings.epoch when it was judged */
  __u8 flags_seen[2];  /* TCP flags seen in that direction */
  __u8 origin;         /* enum direction of the first packet */
  __u8 flags;          /* enum connection_flag */
  __u32 rule_set;      /* what allowed it, as in the event */
  __u32 class_rule_set;
};

/* Map `fragments`: LRU hash; what the first fragment of a datagram said. */
struct fragment_key {
  __u8 local[16];
  __u8 remote[16];
  __u32 id;
  __u32 ifindex;
  __u8 protocol; /* IPv6: 0, since only the first fragment tells it */
  __u8 direction;
  __u8 pad[2];
};
struct fragment {
  __u16 local_port; /* as in the connection key */
  __u16 remote_port;
  __u8 protocol;
  __u8 icmp_type;
  __u8 pad[2];
};

/* Map `limits`: LRU hash; a token bucket per denied (endpoint, peer, port). */
struct limit_key {
  __u8 peer[16];
  __u32 ifindex;
  __u16 port;
  __u8 protocol;
  __u8 direction;
};
struct limit {
  __u64 refilled_at;
  __u32 tokens;
  __u32 suppressed;
};

/* Map `events`: ring buffer. Kinds, verdicts, points, states and match types carry Hubble's numbers. */
enum event_kind { EVENT_DROP = 1, EVENT_TRACE = 4, EVENT_POLICY_VERDICT = 5 };
enum event_verdict { VERDICT_FORWARDED = 1, VERDICT_DROPPED = 2, VERDICT_AUDIT = 4 };
/* POINT_FROM_ENDPOINT: a connection's first packet, told at its source where a delivery at another local endpoint is to
 * follow: it is news only where none does. */
enum event_point { POINT_TO_ENDPOINT = 0, POINT_TO_STACK = 3, POINT_FROM_ENDPOINT = 5 };
enum event_state { STATE_UNKNOWN = 0, STATE_NEW = 1, STATE_ESTABLISHED = 2, STATE_REPLY = 3, STATE_RELATED = 4 };
enum match_type {
  MATCH_NONE = 0, MATCH_L3_ONLY = 1, MATCH_L3_L4 = 2, MATCH_L4_ONLY = 3, MATCH_ALL = 4, MATCH_L3_PROTO = 5,
  MATCH_PROTO_ONLY = 6
};
enum drop_code {
  DROP_INVALID_SOURCE = 132, DROP_POLICY_DENIED = 133, DROP_INVALID_PACKET = 134, DROP_EXTENSION_HEADERS = 156
};
struct event {
  __u64 time;
  __u8 version;     /* PALOMAR_ABI_VERSION */
  __u8 kind;        /* enum event_kind */
  __u8 detail;      /* drop: drop code, 0 with EVENT_FOREIGN; trace: point; policy verdict: match type */
  __u8 verdict;     /* enum event_verdict */
  __u8 direction;   /* enum direction */
  __u8 state;       /* enum event_state */
  __u8 family;      /* 4 or 6 */
  __u8 protocol;    /* IP protocol number */
  __u8 source[16];
  __u8 destination[16];
  __u16 source_port; /* network order; 0 where the protocol has none or a fragment hides it */
  __u16 destination_port;
  __u8 tcp_flags;
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 flags;        /* enum event_flag */
  __u32 source_identity; /* internal identities */
  __u32 destination_identity;
  __u32 ifindex;
  __u32 endpoint;    /* endpoint.id of the interface */
  __u64 policy;      /* endpoint.policy that was in force; EVENT_FOREIGN: the address in the kernel that dropped it */
  __u32 rule_set;    /* rules that allowed by identity or from any peer; 0: none. EVENT_FOREIGN: the kernel's reason */
  __u32 class_rule_set; /* rules that allowed by CIDR class; 0: none */
  __u32 suppressed;  /* events of this kind left out by the rate limit since the last one for this peer and port */
  __u32 class;       /* CIDR class of the peer; 0: none */
  __u64 packets;     /* of the connection in this direction, this one included; 0 where there is no entry */
  __u64 bytes;
};
enum event_flag {
  EVENT_SOURCE_MASKED = 1 << 0, /* a forwarded packet from a node address, or from the pod's own: the real source is hidden */
  EVENT_FOREIGN = 1 << 1,       /* dropped by somebody else in the kernel, not by these programs */
};

/* Map `places` of drops.bpf.c: hash, an address in the kernel (__u64) -> the function there, ended by a zero. */
struct place {
  char name[64];
};

/* Map `counters`: per-CPU array of __u64, by enum counter. */
enum counter {
  COUNTER_LOST_DROP,          /* events that did not fit the ring, by kind */
  COUNTER_LOST_TRACE,
  COUNTER_LOST_POLICY_VERDICT,
  COUNTER_SUPPRESSED,         /* events left out by the rate limit */
  COUNTER_MID_CONNECTION,     /* packets let through because either orientation of their connection is allowed */
  COUNTER_MALFORMED,          /* packets whose headers could not be read */
  COUNTER_CONNECTIONS_FULL,   /* connections that could not be entered */
  COUNTER_STALE_AUDIT,        /* packets let through because the agent's heartbeat is stale */
  COUNTER_FORWARDED,
  COUNTER_DROPPED,
  COUNTER_TOLD_DROP,          /* events that went into the ring, by kind */
  COUNTER_TOLD_TRACE,
  COUNTER_TOLD_POLICY_VERDICT,
  COUNTERS,
};
