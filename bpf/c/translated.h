/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Connections to a service that reach a local pod: only where they are delivered does it show which backend they were
 * given, so egress of a local source is judged here. */
#pragma once
#include "connection.h"
#include "drop.h"

/* The packet as the pod at its other end sees it, behind that interface. Twice: as it was. */
static __always_inline void mirror(struct packet *p, __u32 ifindex) {
  struct connection_key *key = &p->key;
  __u64 *local = (__u64 *)key->local, *remote = (__u64 *)key->remote;
  __u64 high = local[0], low = local[1];
  local[0] = remote[0];
  local[1] = remote[1];
  remote[0] = high;
  remote[1] = low;
  __u16 port = key->local_port;
  key->local_port = key->remote_port;
  key->remote_port = port;
  if (key->asked) key->asked = opposite(key->asked);
  key->ifindex = ifindex;
  p->direction = opposite(p->direction);
}

enum translated {
  TRANSLATED_PASSES,
  TRANSLATED_EXCUSED, /* passes because the agent is silent: to be judged again with each packet */
  TRANSLATED_DROPPED,
};

/* Judges egress of the local pod `source` that a packet to another one comes from. One whose connection is known there
 * by these addresses was judged there. */
SUBPROGRAM int judge_translated(struct packet *p, __u32 source, __u64 mode) {
  if (!p) return TRANSLATED_PASSES;
  const struct endpoint *endpoint = endpoint_of(source);
  if (!endpoint || !policy_isolates(endpoint_policy(endpoint), DIRECTION_EGRESS)) return TRANSLATED_PASSES;
  __u32 here = p->key.ifindex;
  enum translated result = TRANSLATED_PASSES;
  mirror(p, source);
  if (!connection_of(p)) {
    struct finding f;
    finding_begin(&f, p, endpoint_policy(endpoint), mode);
    f.state = STATE_NEW;
    __u16 port = destination_port(p);
    if (judge(p, &f, DIRECTION_EGRESS, port) == JUDGED_DENIED) {
      if (enforced_now(&f, p->now)) {
        drop(p, endpoint, &f, port, DROP_POLICY_DENIED);
        result = TRANSLATED_DROPPED;
      } else {
        audit(p, endpoint, &f, port, TELL(EVENT_POLICY_VERDICT, MATCH_NONE, VERDICT_AUDIT));
        if (may_enforce(&f)) result = TRANSLATED_EXCUSED;
      }
    }
  }
  mirror(p, here);
  return result;
}
