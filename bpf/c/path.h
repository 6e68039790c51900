/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The way of a packet through the programs. The fast path ends in police(): an established connection, judged
 * under the policy in force, with nothing to tell. */
#pragma once
#include "connection.h"
#include "drop.h"
#include "parse.h"
#include "related.h"
#include "source.h"
#include "translated.h"

/* A packet whose headers cannot be read must not get around policy. */
SUBPROGRAM int pass_malformed(const struct packet *p, const struct endpoint *endpoint, __u32 code, __u64 mode) {
  if (!p || !endpoint) return TC_ACT_UNSPEC;
  struct finding f;
  count(COUNTER_MALFORMED, 1);
  finding_begin(&f, p, endpoint_policy(endpoint), mode);
  if (policy_isolates(f.policy, p->direction) && enforced_now(&f, p->now)) return drop(p, endpoint, &f, 0, code);
  count(COUNTER_FORWARDED, 1);
  return TC_ACT_UNSPEC;
}

/* The packet belongs to `c`, passes, and is told where something is new or the interval is over. */
static __always_inline int pass_known(struct __sk_buff *skb, const struct packet *p, const struct endpoint *endpoint,
                                      struct finding *f, struct connection *c) {
  __u32 i = index_of(p->direction);
  int first = !c->packets[i], unseen = p->tcp_flags & ~c->flags_seen[i];
  connection_count(c, i, skb, p->now);
  count(COUNTER_FORWARDED, 1);
  if (!first && !unseen && (__s64)(p->now - c->last_event[i]) < (__s64)cfg_event_interval_ns) return TC_ACT_UNSPEC;
  c->flags_seen[i] |= p->tcp_flags;
  c->last_event[i] = p->now;
  f->state = connection_state(c, p);
  f->rule_set = c->rule_set;
  f->class_rule_set = c->class_rule_set;
  f->packets = c->packets[i];
  f->bytes = c->bytes[i];
  tell_trace(p, endpoint, f);
  return TC_ACT_UNSPEC;
}

/* The first packet of a connection to another local pod is told at its source too, so that it can be missed. Not one
 * that its delivery could not be known by: an ICMP error may be told as of another connection there, a fragment without
 * ports with its datagram's. */
static __always_inline int is_departure(const struct packet *p, const struct endpoint *endpoint,
                                        const struct finding *f) {
  if (p->direction != DIRECTION_EGRESS || f->state != STATE_NEW) return 0;
  if (!f->peer.endpoint || is_hairpin(f, endpoint) || p->flags & PACKET_ICMP_ERROR) return 0;
  return p->flags & PACKET_PORTS || !has_ports(p->key.protocol);
}

static __always_inline int pass_new(struct __sk_buff *skb, const struct packet *p, const struct endpoint *endpoint,
                                    struct finding *f, __u8 flags) {
  f->packets = segments(skb);
  f->bytes = skb->len;
  connection_enter(p, f, flags, skb);
  count(COUNTER_FORWARDED, 1);
  if (is_departure(p, endpoint, f))
    tell(p, endpoint, f, TELL(EVENT_TRACE, POINT_FROM_ENDPOINT, VERDICT_FORWARDED));
  else
    tell_trace(p, endpoint, f);
  return TC_ACT_UNSPEC;
}

/* A packet of a connection that another local pod began, if it is to be judged here. */
static __always_inline int may_be_translated(const struct packet *p, const struct endpoint *endpoint,
                                             const struct finding *f, const struct connection *c, int mid) {
  if (p->direction != DIRECTION_INGRESS || mid || f->mode == MODE_OFF) return 0;
  if (!f->peer.endpoint || is_hairpin(f, endpoint)) return 0;
  return !c || (c->origin == p->direction && (c->policy != f->policy || c->epoch != f->epoch));
}

/* Everything but the fast path. */
SUBPROGRAM int examine(struct __sk_buff *skb, struct packet *p, const struct endpoint *endpoint, struct connection *c,
                       __u64 mode) {
  if (!p || !endpoint) return TC_ACT_UNSPEC;
  struct finding f;
  finding_begin(&f, p, endpoint_policy(endpoint), mode);
  if (c && (connection_expired(c, p) || connection_reopened(c, p) || orientation_lapsed(c, p, endpoint))) c = NULL;
  int mid = c ? c->flags & CONNECTION_UNORIENTED : is_mid_connection(p, endpoint);
  int translated = TRANSLATED_UNASKED;
  if (may_be_translated(p, endpoint, &f, c, mid)) {
    /* before its delivery is judged, so that a packet is dropped once */
    translated = judge_translated(p, &f, f.peer.endpoint, mode);
    if (translated == TRANSLATED_DROPPED) {
      if (c) c->flags |= CONNECTION_DENIED;
      return TC_ACT_SHOT;
    }
    if (translated != TRANSLATED_UNASKED) finding_begin(&f, p, endpoint_policy(endpoint), mode);
    if (translated == TRANSLATED_EXCUSED) f.entered = 0;
  }
  finding_node(&f, p, skb->ingress_ifindex, c);
  finding_own(&f, p, endpoint, skb->ingress_ifindex);
  int judged_before = c && c->policy == f.policy && c->epoch == f.epoch;
  __u16 port = c ? service_port(c, p) : destination_port(p);
  f.state = c ? connection_state(c, p) : mid ? STATE_UNKNOWN : STATE_NEW;

  /* judged and with packets from the pod: its source has been checked. A packet to the pod that has the connection
   * judged again must not make that of packets from before. */
  int out = p->direction == DIRECTION_EGRESS, sent = c && c->packets[index_of(DIRECTION_EGRESS)];
  if ((out ? !(judged_before && sent) : !judged_before && sent) && local_is_foreign(p, endpoint, &f)) {
    if (out) {
      if (enforced_now(&f, p->now)) return drop(p, endpoint, &f, port, DROP_INVALID_SOURCE);
      audit(p, endpoint, &f, port, TELL(EVENT_DROP, DROP_INVALID_SOURCE, VERDICT_AUDIT));
    }
    if (may_enforce(&f)) {
      /* as where policy denies: only the heartbeat's return is awaited */
      f.entered = 0;
      judged_before = 0;
    }
  }
  if (mid && p->key.protocol == PROTOCOL_UDP && policy_has(f.policy, POLICY_ISOLATED_INGRESS | POLICY_ISOLATED_EGRESS)) {
    f.entered = 0;
    judged_before = 0;
  }
  if (judged_before) return pass_known(skb, p, endpoint, &f, c);

  __u8 was = c ? c->flags : 0;
  __u8 flags = mid ? CONNECTION_UNORIENTED : 0;
  enum judgement judged = connection_judge(p, endpoint, &f, c, mid);
  if (judged == JUDGED_DENIED) {
    /* the entry is left as it is but for the mark: its next packet is judged again, and no miss in mid-connection
     * lets it in */
    if (enforced_now(&f, p->now)) {
      if (c) c->flags |= CONNECTION_DENIED;
      return drop(p, endpoint, &f, port, DROP_POLICY_DENIED);
    }
    flags |= CONNECTION_AUDITED;
    if (!(was & CONNECTION_AUDITED))
      audit(p, endpoint, &f, port, TELL(EVENT_POLICY_VERDICT, MATCH_NONE, VERDICT_AUDIT));
    /* only the heartbeat stands between this packet and a drop: judge each, so that its return counts at once */
    if (may_enforce(&f)) f.entered = 0;
  } else if (judged == JUDGED_ALLOWED && !mid && (!c || was & CONNECTION_AUDITED)) {
    tell(p, endpoint, &f, TELL(EVENT_POLICY_VERDICT, f.match, VERDICT_FORWARDED));
  }
  if (!c) {
    if (mid && judged == JUDGED_ALLOWED) count(COUNTER_MID_CONNECTION, 1);
    return pass_new(skb, p, endpoint, &f, flags);
  }
  c->policy = f.entered;
  c->epoch = f.epoch;
  c->rule_set = f.rule_set;
  c->class_rule_set = f.class_rule_set;
  c->flags = (was & ~(CONNECTION_AUDITED | CONNECTION_DENIED)) | (flags & CONNECTION_AUDITED);
  return pass_known(skb, p, endpoint, &f, c);
}

/* A packet whose headers are read. */
static __always_inline int police(struct __sk_buff *skb, struct packet *p, const struct endpoint *endpoint,
                                  __u32 direction, __u64 mode) {
  __u32 i = index_of(direction);
  struct connection *c = connection_of(p);
  if (unlikely(!c || c->policy != endpoint_policy(endpoint) || c->epoch != mode >> 32 ||
               p->tcp_flags & ~c->flags_seen[i] || is_pure_syn(p) || !c->packets[i] ||
               (__s64)(p->now - c->last_event[i]) >= (__s64)cfg_event_interval_ns))
    return examine(skb, p, endpoint, c, mode);
  connection_count(c, i, skb, p->now);
  count(COUNTER_FORWARDED, 1);
  return TC_ACT_UNSPEC;
}

/* A packet that is not plain. */
static __noinline int handle_general(struct __sk_buff *skb, struct packet *p, const struct endpoint *endpoint,
                                     __u64 mode) {
  enum parsed parsed = parse_general(skb, p);
  int verdict = TC_ACT_UNSPEC;
  if (parsed != PARSED_UNSEEN) {
    p->now = bpf_ktime_get_coarse_ns();
    if (parsed == PARSED_INVALID) return pass_malformed(p, endpoint, DROP_INVALID_PACKET, mode);
    if (parsed == PARSED_EXTENSIONS) return pass_malformed(p, endpoint, DROP_EXTENSION_HEADERS, mode);
    if (p->flags & PACKET_ICMP_ERROR && pass_related(skb, p, endpoint, endpoint_policy(endpoint), mode))
      count(COUNTER_FORWARDED, 1);
    else
      verdict = police(skb, p, endpoint, p->direction, mode);
  }
  if (p->flags & PACKET_FIRST && verdict != TC_ACT_SHOT) fragment_remember(p);
  return verdict;
}

static __always_inline int handle(struct __sk_buff *skb, __u32 direction) {
  struct packet p = { .direction = direction, .key.ifindex = skb->ifindex };
  const struct endpoint *endpoint = endpoint_of(p.key.ifindex);
  const struct settings *s = settings_now();
  if (!endpoint || !s) return TC_ACT_UNSPEC;

  __u64 mode = mode_and_epoch(s);
  if (unlikely(!parse_plain(skb, &p, direction))) return handle_general(skb, &p, endpoint, mode);
  p.now = bpf_ktime_get_coarse_ns();
  return police(skb, &p, endpoint, direction, mode);
}
