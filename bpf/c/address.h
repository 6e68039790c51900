/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who is behind an address. */
#pragma once
#include "abi.h"
#include "kernel.h"

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, __u8[16]);
  __type(value, struct address);
} addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct cidr_key);
  __type(value, __u32);
} cidrs SEC(".maps");

static __always_inline void address_resolve(const __u8 *address, struct address *out) {
  const struct address *known = bpf_map_lookup_elem(&addresses, address);
  if (known) {
    *out = *known;
    return;
  }
  struct cidr_key key = { .prefix_len = 128 };
  __builtin_memcpy(key.address, address, 16);
  const __u32 *class = bpf_map_lookup_elem(&cidrs, &key);
  *out = (struct address){ .identity = IDENTITY_WORLD, .class = class ? *class : 0 };
}

/* The part of a mapped address that an IPv4 address fills; 0 elsewhere means that it is no IPv4 address. */
static __always_inline int is_ipv4(const __u32 *words) {
  return !words[0] && !words[1] && words[2] == network32(0x0000ffff);
}

/* fe80::/10 and 169.254.0.0/16 */
static __always_inline int is_link_local(const __u32 *words) {
  if (is_ipv4(words)) return (words[3] & network32(0xffff0000)) == network32(0xa9fe0000);
  return (words[0] & network32(0xffc00000)) == network32(0xfe800000);
}

/* :: and 0.0.0.0 */
static __always_inline int is_unspecified(const __u32 *words) {
  return !words[3] && !words[0] && !words[1] && (!words[2] || words[2] == network32(0x0000ffff));
}
