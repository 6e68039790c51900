/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which interfaces are observed, and as whose. */
#pragma once
#include "abi.h"
#include "kernel.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, ENDPOINTS_DENSE);
  __type(key, __u32);
  __type(value, struct endpoint);
} endpoints SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, struct endpoint);
} endpoints_high SEC(".maps");

/* NULL where the interface is not observed. */
static __always_inline struct endpoint *endpoint_of(__u32 ifindex) {
  struct endpoint *endpoint;
  if (likely(ifindex < ENDPOINTS_DENSE)) {
    endpoint = bpf_map_lookup_elem(&endpoints, &ifindex);
  } else {
    endpoint = bpf_map_lookup_elem(&endpoints_high, &ifindex);
    /* keeps clang from making one call of the two: the kernel inlines a look-up only where it knows the map */
    asm volatile("" : "+r"(endpoint));
  }
  return endpoint && endpoint->id ? endpoint : NULL;
}

/* The policy word as it is at one moment: set, revision and flags belong together. */
static __always_inline __u64 endpoint_policy(const struct endpoint *e) { return *(const volatile __u64 *)&e->policy; }

static __always_inline int policy_has(__u64 policy, __u32 flag) {
  return (policy >> POLICY_FLAGS_SHIFT & flag) != 0;
}

static __always_inline int policy_isolates(__u64 policy, __u32 direction) {
  return policy_has(policy, direction == DIRECTION_EGRESS ? POLICY_ISOLATED_EGRESS : POLICY_ISOLATED_INGRESS);
}
