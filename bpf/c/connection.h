/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The connections of the observed interfaces: one entry and one lookup for both directions. */
#pragma once
#include "counter.h"
#include "finding.h"
#include "policy.h"

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 131072);
  __type(key, struct connection_key);
  __type(value, struct connection);
} connections SEC(".maps");

static __always_inline struct connection *connection_of(const struct packet *p) {
  return bpf_map_lookup_elem(&connections, &p->key);
}

static __always_inline __u32 segments(const struct __sk_buff *skb) { return skb->gso_segs ? skb->gso_segs : 1; }

/* Plain adds: each direction of a connection is nearly always worked on by one CPU at a time, a lost add would
 * cost one packet of a statistic, and no verdict depends on it. */
static __always_inline void connection_count(struct connection *c, __u32 i, const struct __sk_buff *skb, __u64 now) {
  c->last_seen = now;
  c->packets[i] += segments(skb);
  c->bytes[i] += skb->len;
}

static __always_inline __u64 connection_lifetime(const struct connection *c, __u8 protocol) {
  if (protocol != PROTOCOL_TCP) return cfg_other_ns;
  __u8 in = c->flags_seen[0], out = c->flags_seen[1];
  if ((in | out) & TCP_RST || in & out & TCP_FIN) return cfg_tcp_closed_ns;
  return (c->origin == DIRECTION_EGRESS ? out : in) & TCP_ACK ? cfg_tcp_established_ns : cfg_tcp_opening_ns;
}

/* Signed: another CPU may have read a later tick. */
static __always_inline int connection_expired(const struct connection *c, const struct packet *p) {
  return (__s64)(p->now - c->last_seen) > (__s64)connection_lifetime(c, p->key.protocol);
}

/* A SYN belongs to the entry only as a repetition of the one that made it. On a closing or established
 * connection, from the other end, or on an entry that no SYN made, it opens a connection of its own. */
static __always_inline int connection_reopened(const struct connection *c, const struct packet *p) {
  if (!is_pure_syn(p)) return 0;
  __u8 both = c->flags_seen[0] | c->flags_seen[1];
  return c->flags & CONNECTION_UNORIENTED || c->origin != p->direction || both & (TCP_FIN | TCP_RST) ||
         c->flags_seen[index_of(p->direction)] & TCP_ACK;
}

static __always_inline __u8 connection_state(const struct connection *c, const struct packet *p) {
  if (c->flags & CONNECTION_UNORIENTED) return STATE_UNKNOWN;
  return c->origin == p->direction ? STATE_ESTABLISHED : STATE_REPLY;
}

/* The port that a connection was opened to, whichever way this packet of it goes. */
static __always_inline __u16 service_port(const struct connection *c, const struct packet *p) {
  if (c->flags & CONNECTION_UNORIENTED) return destination_port(p);
  return c->origin == DIRECTION_EGRESS ? p->key.remote_port : p->key.local_port;
}

/* A miss that need not be a beginning: of TCP what is no SYN, of UDP anything soon after the interface came. */
static __always_inline int is_mid_connection(const struct packet *p, const struct endpoint *endpoint) {
  if (!(p->flags & PACKET_PORTS)) return 0;
  if (p->key.protocol == PROTOCOL_TCP) return !is_pure_syn(p);
  return p->key.protocol == PROTOCOL_UDP && p->now < endpoint->unjudged_udp_until;
}

/* UDP of unknown orientation is believed for as long as an unknown beginning is, and each of its packets is asked. */
static __always_inline int orientation_lapsed(const struct connection *c, const struct packet *p,
                                              const struct endpoint *endpoint) {
  return c->flags & CONNECTION_UNORIENTED && p->key.protocol == PROTOCOL_UDP &&
         p->now >= endpoint->unjudged_udp_until;
}

/* Judges the connection that the packet belongs to: `c`, or a new one where that is NULL. */
static __always_inline enum judgement connection_judge(const struct packet *p, const struct endpoint *endpoint,
                                                       struct finding *f, const struct connection *c, int mid) {
  if (is_hairpin(f, endpoint)) return JUDGED_OPEN;
  if (mid) return judge_either(p, f);
  return judge(p, f, c ? c->origin : p->direction, c ? service_port(c, p) : destination_port(p));
}

static __always_inline void connection_enter(const struct packet *p, const struct finding *f, __u8 flags,
                                             const struct __sk_buff *skb) {
  /* index 0 or 1 by branches: clang would or the index into a stack pointer, which the verifier refuses */
  int out = p->direction == DIRECTION_EGRESS;
  __u64 packets = segments(skb), bytes = skb->len;
  if (f->flags & EVENT_SOURCE_MASKED) flags |= CONNECTION_MASKED;
  struct connection c = {
    .policy = f->entered, .epoch = f->epoch, .origin = p->direction, .flags = flags, .began = p->now,
    .last_seen = p->now, .last_event = { p->now, p->now }, .rule_set = f->rule_set, .class_rule_set = f->class_rule_set,
    .packets = { out ? 0 : packets, out ? packets : 0 }, .bytes = { out ? 0 : bytes, out ? bytes : 0 },
    .flags_seen = { out ? 0 : p->tcp_flags, out ? p->tcp_flags : 0 },
  };
  if (bpf_map_update_elem(&connections, &p->key, &c, BPF_ANY)) count(COUNTER_CONNECTIONS_FULL, 1);
}
