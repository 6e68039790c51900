/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens to a packet that must not pass: it is dropped where that is enforced, else told and let through. */
#pragma once
#include "event.h"

/* Whether a refusal is to be enforced now. Otherwise the packet passes, which is counted where only the agent's
 * silence is the reason. */
static __always_inline int enforced_now(const struct finding *f, __u64 now) {
  if (!may_enforce(f)) return 0;
  if (!heartbeat_is_stale(now)) return 1;
  count(COUNTER_STALE_AUDIT, 1);
  return 0;
}

static __always_inline int drop(const struct packet *p, const struct endpoint *endpoint, struct finding *f,
                                __u32 port, __u32 code) {
  int verdict = code == DROP_POLICY_DENIED;
  count(COUNTER_DROPPED, 1);
  if (limit_take(p, f, port)) {
    if (verdict) tell(p, endpoint, f, TELL(EVENT_POLICY_VERDICT, MATCH_NONE, VERDICT_DROPPED));
    tell(p, endpoint, f, TELL(EVENT_DROP, code, VERDICT_DROPPED));
  } else {
    count(COUNTER_SUPPRESSED, verdict ? 2 : 1);
  }
  return TC_ACT_SHOT;
}

/* `what` as for tell(). The trace event that follows is no part of the limit: it comes once a connection. */
static __always_inline void audit(const struct packet *p, const struct endpoint *endpoint, struct finding *f,
                                  __u32 port, __u32 what) {
  if (limit_take(p, f, port))
    tell(p, endpoint, f, what);
  else
    count(COUNTER_SUPPRESSED, 1);
  f->suppressed = 0;
}
