// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Tells which packets from or to the observed pods somebody else in the kernel drops: netfilter rules, routing, a
 * missing socket. Optional: needs the kernel's BTF and its drop reasons (5.17). Only observes. Shares the maps
 * `events`, `counters`, `endpoints`, `addresses` and their kind with pod.bpf.c. */
#include "foreign.h"

char license_text[] SEC("license") = "Dual BSD/GPL";

/* Arguments of the tracepoint: the packet, the caller's address, the reason. */
SEC("tp_btf/kfree_skb") int foreign_drop(__u64 *arguments) {
  return examine_free((struct sk_buff *)arguments[0], arguments[1], arguments[2]);
}
