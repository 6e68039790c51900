/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The ring that events go into, and when its reader is woken. */
#pragma once
#include "counter.h"
#include "settings.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4 << 20);
} events SEC(".maps");

/* An edge, not a level: a reader that is behind would else be sent an interrupt for each event. */
static __always_inline __u64 wakeup(void) {
  __u64 unread = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
  return unread - cfg_wakeup_bytes < cfg_wakeup_window ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}
