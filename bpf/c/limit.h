/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A token bucket per (interface, peer, service port, protocol, direction), for events that a flood could repeat. */
#pragma once
#include "finding.h"

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct limit_key);
  __type(value, struct limit);
} limits SEC(".maps");

/* Whether the packet may be told about, with finding.suppressed the packets left out before it. Two CPUs at once
 * may take the same token: the limit is for the reader's sake and need not be exact. */
SUBPROGRAM int limit_take(const struct packet *p, struct finding *f, __u32 port) {
  if (!p || !f) return 0;
  struct limit_key key = { .ifindex = p->key.ifindex, .port = port, .protocol = p->key.protocol,
                           .direction = p->direction };
  __builtin_memcpy(key.peer, p->key.remote, 16);
  struct limit *limit = bpf_map_lookup_elem(&limits, &key);
  if (!limit) {
    struct limit fresh = { .refilled_at = p->now, .tokens = cfg_limit_burst - 1 };
    bpf_map_update_elem(&limits, &key, &fresh, BPF_ANY);
    return 1;
  }
  __s64 passed = p->now - limit->refilled_at;
  if (passed >= (__s64)cfg_limit_refill_ns) {
    __u64 refills = (__u64)passed / cfg_limit_refill_ns;
    __u64 tokens = limit->tokens + refills;
    limit->tokens = tokens < cfg_limit_burst ? tokens : cfg_limit_burst;
    limit->refilled_at += refills * cfg_limit_refill_ns;
  }
  if (!limit->tokens) {
    limit->suppressed++;
    return 0;
  }
  limit->tokens--;
  f->suppressed = limit->suppressed;
  limit->suppressed = 0;
  return 1;
}
