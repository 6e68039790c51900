/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Telling user space. */
#pragma once
#include "finding.h"
#include "limit.h"
#include "ring.h"

/* Kind, detail and verdict in one argument: a subprogram has five. */
#define TELL(kind, detail, verdict) ((kind) | (detail) << 8 | (verdict) << 16)

/* `drop` is the counter of drops; those of traces and policy verdicts follow it. */
static __always_inline void count_kind(__u32 drop, __u8 kind) {
  count(drop + (kind == EVENT_DROP ? 0 : kind == EVENT_TRACE ? 1 : 2), 1);
}

SUBPROGRAM int tell(const struct packet *p, const struct endpoint *endpoint, const struct finding *f, __u32 what) {
  if (!p || !endpoint || !f) return 0;
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) {
    count_kind(COUNTER_LOST_DROP, what);
    return 0;
  }
  int out = p->direction == DIRECTION_EGRESS;
  int ports = p->flags & PACKET_PORTS;
  e->time = bpf_ktime_get_ns();
  e->version = PALOMAR_ABI_VERSION;
  e->kind = what;
  e->detail = what >> 8;
  e->verdict = what >> 16;
  e->direction = p->direction;
  e->state = f->state;
  e->family = p->family;
  e->protocol = p->key.protocol;
  __builtin_memcpy(e->source, out ? p->key.local : p->key.remote, 16);
  __builtin_memcpy(e->destination, out ? p->key.remote : p->key.local, 16);
  e->source_port = ports ? source_port(p) : 0;
  e->destination_port = ports ? destination_port(p) : 0;
  e->tcp_flags = p->tcp_flags;
  e->icmp_type = p->icmp_type;
  e->icmp_code = p->icmp_code;
  e->flags = f->flags;
  e->source_identity = out ? endpoint->identity : f->peer.identity;
  e->destination_identity = out ? f->peer.identity : endpoint->identity;
  e->ifindex = p->key.ifindex;
  e->endpoint = endpoint->id;
  e->policy = f->policy;
  e->rule_set = f->rule_set;
  e->class_rule_set = f->class_rule_set;
  e->suppressed = f->suppressed;
  e->class = f->peer.flags & ADDRESS_SERVICE ? 0 : f->peer.class;
  e->packets = f->packets;
  e->bytes = f->bytes;
  count_kind(COUNTER_TOLD_DROP, what);
  bpf_ringbuf_submit(e, wakeup());
  return 1;
}

/* One packet, one line: told where it is delivered; at its source only when it leaves for elsewhere. */
static __always_inline void tell_trace(const struct packet *p, const struct endpoint *endpoint,
                                       const struct finding *f) {
  if (p->direction == DIRECTION_INGRESS)
    tell(p, endpoint, f, TELL(EVENT_TRACE, POINT_TO_ENDPOINT, VERDICT_FORWARDED));
  else if (!f->peer.endpoint)
    tell(p, endpoint, f, TELL(EVENT_TRACE, POINT_TO_STACK, VERDICT_FORWARDED));
}
