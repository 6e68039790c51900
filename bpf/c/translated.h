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
  TRANSLATED_UNASKED, /* egress of the source is not isolated */
  TRANSLATED_PASSES,
  TRANSLATED_EXCUSED, /* passes because the agent is silent: to be judged again with each packet */
  TRANSLATED_DROPPED,
};

/* Whether the source's own interface has judged the connection of a mirrored packet, under the policy in force there. */
static __always_inline int is_judged_there(const struct connection *c, const struct packet *p, const struct finding *f) {
  if (!c || c->origin != DIRECTION_EGRESS || c->flags & (CONNECTION_UNORIENTED | CONNECTION_DENIED)) return 0;
  if (connection_expired(c, p) || connection_reopened(c, p) || c->epoch != f->epoch) return 0;
  /* or it judges each packet, as long as the agent is silent */
  return c->policy == f->policy || (!c->policy && c->flags & CONNECTION_AUDITED);
}

/* Judges egress of the local pod `source` that a packet to another one comes from. One that was judged there by these
 * addresses is not judged again. `f` is written over, but where nothing is asked. */
SUBPROGRAM int judge_translated(struct packet *p, struct finding *f, __u32 source, __u64 mode) {
  if (!p || !f) return TRANSLATED_UNASKED;
  const struct endpoint *endpoint = endpoint_of(source);
  if (!endpoint || !policy_isolates(endpoint_policy(endpoint), DIRECTION_EGRESS)) return TRANSLATED_UNASKED;
  __u32 here = p->key.ifindex;
  enum translated result = TRANSLATED_PASSES;
  mirror(p, source);
  finding_begin(f, p, endpoint_policy(endpoint), mode);
  if (!is_judged_there(connection_of(p), p, f) && judge(p, f, DIRECTION_EGRESS, destination_port(p)) == JUDGED_DENIED) {
    f->state = STATE_NEW;
    if (enforced_now(f, p->now)) {
      drop(p, endpoint, f, destination_port(p), DROP_POLICY_DENIED);
      result = TRANSLATED_DROPPED;
    } else {
      audit(p, endpoint, f, destination_port(p), TELL(EVENT_POLICY_VERDICT, MATCH_NONE, VERDICT_AUDIT));
      if (may_enforce(f)) result = TRANSLATED_EXCUSED;
    }
  }
  mirror(p, here);
  return result;
}
