/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors about a packet of a known connection belong to that connection. */
#pragma once
#include "connection.h"
#include "drop.h"
#include "parse.h"
#include "source.h"

/* Equal 16-byte addresses. */
static __always_inline int is_same(const __u8 *one, const __u8 *other) {
  for (int i = 0; i < 16; i += 4)
    if (*(__u32 *)(one + i) != *(__u32 *)(other + i)) return 0;
  return 1;
}

/* The connection that the error is about, its key left in `quoted`; NULL where there is none. The quoted packet
 * went the opposite way, and came from the address that the error is sent to (or the error is made up). Routers on
 * the way send errors to the pod; one that the pod sends comes from where the quoted packet went. */
static __always_inline struct connection *quoted_connection(struct __sk_buff *skb, const struct packet *p,
                                                            struct packet *quoted) {
  quoted->key.ifindex = p->key.ifindex;
  quoted->direction = opposite(p->direction);
  quoted->flags = PACKET_QUOTED;
  quoted->now = p->now;
  __u16 ethertype = p->family == 4 ? network16(ETHERTYPE_IPV4) : network16(ETHERTYPE_IPV6);
  if (parse_network(skb, quoted, p->quote, ethertype) != PARSED) return NULL;
  if (!is_same(quoted->key.local, p->key.local)) return NULL;
  if (p->direction == DIRECTION_EGRESS && !is_same(quoted->key.remote, p->key.remote)) return NULL;
  struct connection *c = connection_of(quoted);
  return c && !connection_expired(c, quoted) ? c : NULL;
}

/* Whether the error may pass for the sake of its connection; it is told then. One from a foreign source is left to
 * what happens to any such packet: that its connection exists does not say that the pod may speak for its address. */
SUBPROGRAM int pass_related(struct __sk_buff *skb, struct packet *p, const struct endpoint *endpoint, __u64 policy,
                            __u64 mode) {
  if (!p || !endpoint) return 0;
  struct packet quoted = {};
  struct finding f;
  struct connection *c = quoted_connection(skb, p, &quoted);
  if (!c) return 0;
  finding_begin(&f, p, policy, mode);
  if (p->direction == DIRECTION_EGRESS && local_is_foreign(p, endpoint, &f)) return 0;
  if (c->policy != policy || c->epoch != mode >> 32) {
    /* not yet judged under what is in force now; the entry itself is left to its own packets */
    finding_begin(&f, &quoted, policy, mode);
    f.host = !(c->flags & CONNECTION_MASKED);
    int mid = c->flags & CONNECTION_UNORIENTED;
    if (may_enforce(&f) && connection_judge(&quoted, endpoint, &f, c, mid) == JUDGED_DENIED)
      return 0;
  }
  finding_begin(&f, p, policy, mode);
  finding_node(&f, p, skb->ingress_ifindex, NULL);
  finding_own(&f, p, endpoint, skb->ingress_ifindex);
  f.state = STATE_RELATED;
  f.rule_set = c->rule_set;
  f.class_rule_set = c->class_rule_set;
  if (limit_take(p, &f, 0))
    tell_trace(p, endpoint, &f);
  else
    count(COUNTER_SUPPRESSED, 1);
  return 1;
}
