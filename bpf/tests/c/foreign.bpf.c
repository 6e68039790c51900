// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Somebody else's programs: one counts and passes on, one counts and ends the chain. */
#include "../../c/kernel.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} packets SEC(".maps");

char foreign_license[] SEC("license") = "Dual BSD/GPL";

static __always_inline void count(void) {
  __u32 only = 0;
  __u64 *value = bpf_map_lookup_elem(&packets, &only);
  if (value) __sync_fetch_and_add(value, 1);
}

SEC("classifier") int foreign_next(struct __sk_buff *skb) { count(); return -1; }
SEC("classifier") int foreign_ok(struct __sk_buff *skb) { count(); return 0; }
