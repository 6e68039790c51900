/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A token bucket per (interface, peer, service port, protocol, direction), for events that a flood could repeat. */
#pragma once
#include "bucket.h"
#include "finding.h"

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct limit_key);
  __type(value, struct limit);
} limits SEC(".maps");

/* Whether the packet may be told about, with finding.suppressed the packets left out before it. */
SUBPROGRAM int limit_take(const struct packet *p, struct finding *f, __u32 port) {
  if (!p || !f) return 0;
  struct limit_key key = { .ifindex = p->key.ifindex, .port = port, .protocol = p->key.protocol,
                           .direction = p->direction };
  __builtin_memcpy(key.peer, p->key.remote, 16);
  struct limit *limit = bpf_map_lookup_elem(&limits, &key);
  if (!limit) {
    struct limit fresh = bucket_fresh(p->now);
    bpf_map_update_elem(&limits, &key, &fresh, BPF_ANY);
    return 1;
  }
  return bucket_take(limit, p->now, &f->suppressed);
}
