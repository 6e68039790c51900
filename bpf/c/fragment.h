/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the first fragment of a datagram said, for those that follow it. */
#pragma once
#include "packet.h"

/* All pods share it: only what passed is remembered, so that a pod whose datagrams are refused fills none of it. In
 * kernel memory 104 bytes an entry and 16 a bucket, 2 MB in all. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, struct fragment_key);
  __type(value, struct fragment);
} fragments SEC(".maps");

static __always_inline void fragment_key(const struct packet *p, __u32 id, struct fragment_key *key) {
  __builtin_memset(key, 0, sizeof(*key));
  __builtin_memcpy(key->local, p->key.local, 32); /* local and remote */
  key->id = id;
  key->ifindex = p->key.ifindex;
  /* IPv6 does not count the protocol to the identity of a datagram, and only its first fragment tells it */
  key->protocol = p->family == 4 ? p->key.protocol : 0;
  key->direction = p->direction;
}

/* For a packet with PACKET_FIRST that passes. */
SUBPROGRAM int fragment_remember(const struct packet *p) {
  if (!p) return 0;
  struct fragment_key key;
  struct fragment said = { .local_port = p->key.local_port, .remote_port = p->key.remote_port,
                           .protocol = p->key.protocol, .icmp_type = p->icmp_type };
  fragment_key(p, p->datagram, &key);
  return bpf_map_update_elem(&fragments, &key, &said, BPF_ANY) == 0;
}

/* False where no first fragment passed: the packet stays without ports. */
static __always_inline int fragment_recall(struct packet *p, __u32 id) {
  struct fragment_key key;
  fragment_key(p, id, &key);
  const struct fragment *said = bpf_map_lookup_elem(&fragments, &key);
  if (!said) return 0;
  p->key.local_port = said->local_port;
  p->key.remote_port = said->remote_port;
  p->key.protocol = said->protocol;
  p->icmp_type = said->icmp_type;
  if (has_ports(said->protocol)) p->flags |= PACKET_PORTS;
  return 1;
}
_Static_assert(__builtin_offsetof(struct connection_key, remote) == 16, "local and remote are copied at once");
_Static_assert(__builtin_offsetof(struct fragment_key, remote) == 16, "local and remote are copied at once");
