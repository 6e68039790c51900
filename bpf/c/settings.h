/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is fixed for as long as a program is loaded (.rodata, overridden by the loader), and what the agent changes. */
#pragma once
#include "abi.h"
#include "counter.h"
#include "kernel.h"

#define SECOND 1000000000ULL

/* An established connection is told at most so often in each direction. Must not exceed the shortest time-out
 * below: a packet within the interval of the last event is not checked for expiry. */
const volatile __u64 cfg_event_interval_ns = 5 * SECOND;
const volatile __u64 cfg_tcp_opening_ns = LIFETIME_TCP_OPENING;
const volatile __u64 cfg_tcp_established_ns = LIFETIME_TCP_ESTABLISHED;
const volatile __u64 cfg_tcp_closed_ns = LIFETIME_TCP_CLOSED;
const volatile __u64 cfg_other_ns = LIFETIME_OTHER;
/* Token bucket of limited events. */
const volatile __u32 cfg_limit_burst = 10;
const volatile __u64 cfg_limit_refill_ns = SECOND;
/* The reader is woken when the unread bytes pass this edge; it polls by a timer besides. The window is wide
 * enough for the events of a few CPUs that pass the edge together, and narrow enough that a reader that is
 * behind is not woken for each event. */
const volatile __u64 cfg_wakeup_bytes = 64 * 1024;
const volatile __u64 cfg_wakeup_window = 2048;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE); /* user space stores mode and epoch as one word */
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct settings);
} settings SEC(".maps");

static __always_inline struct settings *settings_now(void) {
  __u32 only = 0;
  return bpf_map_lookup_elem(&settings, &only);
}

/* Mode (low half) and epoch (high half) as they were at one moment. */
static __always_inline __u64 mode_and_epoch(const struct settings *s) { return *(const volatile __u64 *)&s->mode; }

/* Whether the agent has been silent for so long that an enforcing datapath is to audit instead. */
static __always_inline int heartbeat_is_stale(__u64 now) {
  const struct settings *s = settings_now();
  return s && s->stale_after && (__s64)(now - s->heartbeat) > (__s64)s->stale_after;
}
