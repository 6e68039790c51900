/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors about a packet of a known connection belong to that connection. */
#pragma once
#include "connection.h"
#include "drop.h"
#include "parse.h"

/* The connection that the error is about, its key left in `quoted`; NULL where there is none. The quoted packet
 * went the opposite way, and came from the address that the error is sent to (or the error is made up). */
static __always_inline struct connection *quoted_connection(struct __sk_buff *skb, const struct packet *p,
                                                            struct packet *quoted) {
  quoted->key.ifindex = p->key.ifindex;
  quoted->direction = opposite(p->direction);
  quoted->flags = PACKET_QUOTED;
  quoted->now = p->now;
  __u16 ethertype = p->family == 4 ? network16(ETHERTYPE_IPV4) : network16(ETHERTYPE_IPV6);
  if (parse_network(skb, quoted, p->quote, ethertype) != PARSED) return NULL;
  for (int i = 0; i < 16; i += 4)
    if (*(__u32 *)(quoted->key.local + i) != *(__u32 *)(p->key.local + i)) return NULL;
  struct connection *c = connection_of(quoted);
  return c && !connection_expired(c, quoted) ? c : NULL;
}

/* Whether the error may pass for the sake of its connection; it is told then. */
SUBPROGRAM int pass_related(struct __sk_buff *skb, struct packet *p, const struct endpoint *endpoint, __u64 policy,
                            __u64 mode) {
  if (!p || !endpoint) return 0;
  struct packet quoted = {};
  struct finding f;
  struct connection *c = quoted_connection(skb, p, &quoted);
  if (!c) return 0;
  if (c->policy != policy || c->epoch != mode >> 32) {
    /* not yet judged under what is in force now; the entry itself is left to its own packets */
    finding_begin(&f, &quoted, policy, mode);
    f.host = !(c->flags & CONNECTION_MASKED);
    if (may_enforce(&f) && connection_judge(&quoted, endpoint, &f, c, c->flags & CONNECTION_UNORIENTED) == JUDGED_DENIED)
      return 0;
  }
  finding_begin(&f, p, policy, mode);
  finding_node(&f, p, skb->ingress_ifindex, NULL);
  f.state = STATE_RELATED;
  f.rule_set = c->rule_set;
  f.class_rule_set = c->class_rule_set;
  if (limit_take(p, &f, 0))
    tell_trace(p, endpoint, &f);
  else
    count(COUNTER_SUPPRESSED, 1);
  return 1;
}
