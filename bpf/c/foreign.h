/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A packet that the kernel frees as dropped: whether it is a pod's, what it was, whether to tell. */
#pragma once
#include "address.h"
#include "bucket.h"
#include "endpoint.h"
#include "headers.h"
#include "ring.h"

/* The network namespace of the agent, by inode. */
const volatile __u32 cfg_netns = 0;
/* By reason: ordinary frees, which are no drops. Bit n of word n / 64. */
const volatile __u64 cfg_quiet_reasons[4] = { 0x7 };
/* What the kernel says where a tc program drops; 0: it does not say. */
const volatile __u32 cfg_reason_tc_ingress = 0;
const volatile __u32 cfg_reason_tc_egress = 0;
/* For bpf_snprintf: a function's name. */
const char place_format[] = "%ps";

struct foreign_limit_key {
  __u8 source[16];
  __u8 destination[16];
  __u32 reason;
  __u16 port; /* of the destination */
  __u8 protocol;
  __u8 pad;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct foreign_limit_key);
  __type(value, struct limit);
} foreign_limits SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u64);
  __type(value, struct place);
} places SEC(".maps");

/* COUNTER_DROPPED of this CPU when it was last looked at. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} own_drops SEC(".maps");

/* A packet may be freed in the middle of anything but the counting of a soft interrupt: so must be counted at once. */
static __always_inline void count_at_once(__u32 counter) {
  __u64 *value = bpf_map_lookup_elem(&counters, &counter);
  if (value) __sync_fetch_and_add(value, 1);
}

static __always_inline int is_quiet(__u32 reason) {
  if (reason > 255) return 0;
  __u64 word = reason >> 6;
  asm volatile("" : "+r"(word)); /* clang leaves out a mask that it knows to be needless; the verifier does not know */
  return cfg_quiet_reasons[word & 3] >> (reason & 63) & 1;
}

/* Whether pod.bpf.c dropped it. It counts a drop on the CPU that frees the packet directly after, so a free by tc that
 * nothing was counted for is somebody else's. */
static __always_inline int is_own(__u32 reason) {
  if (!reason || (reason != cfg_reason_tc_ingress && reason != cfg_reason_tc_egress)) return 0;
  __u32 dropped = COUNTER_DROPPED, only = 0;
  __u64 *count = bpf_map_lookup_elem(&counters, &dropped);
  __u64 *known = bpf_map_lookup_elem(&own_drops, &only);
  if (!count || !known || *known == *count) return 0;
  *known = *count;
  return 1;
}

enum whereabouts { ELSEWHERE, ON_THE_NODE, IN_A_POD };

/* Where the packet was when it was freed. `ifindex`: on the node the device's; in a pod that of its veth's end here. */
static __always_inline enum whereabouts locate(const struct sk_buff *skb, __u32 *ifindex) {
  struct device at = {};
  const struct net_device *dev = device_of(skb, &at);
  if (!dev) return ELSEWHERE;
  *ifindex = at.ifindex;
  if (at.netns == cfg_netns) return ON_THE_NODE;
  struct device peer = {};
  if (!veth_peer(dev, &peer) || peer.netns != cfg_netns) return ELSEWHERE;
  *ifindex = peer.ifindex;
  return IN_A_POD;
}

/* The endpoint whose packet it is, with `direction` the end of it. On the node it is known by its addresses, or by the
 * veth that the packet came by. */
static __always_inline const struct endpoint *owner_of(const struct sk_buff *skb, enum whereabouts where, __u32 ifindex,
                                                       const struct address *source, const struct address *destination,
                                                       __u8 *direction) {
  if (where == IN_A_POD) {
    *direction = skb->skb_iif ? DIRECTION_INGRESS : DIRECTION_EGRESS;
    return endpoint_of(ifindex);
  }
  if (source->endpoint) {
    *direction = DIRECTION_EGRESS;
    return endpoint_of(source->endpoint);
  }
  if (destination->endpoint) {
    *direction = DIRECTION_INGRESS;
    return endpoint_of(destination->endpoint);
  }
  *direction = DIRECTION_EGRESS;
  return skb->skb_iif == ifindex ? endpoint_of(ifindex) : NULL;
}

static __always_inline int may_tell(const struct headers *h, __u32 reason, __u64 now, __u32 *suppressed) {
  struct foreign_limit_key key = { .reason = reason, .port = h->destination_port, .protocol = h->protocol };
  __builtin_memcpy(key.source, h->source, 16);
  __builtin_memcpy(key.destination, h->destination, 16);
  struct limit *limit = bpf_map_lookup_elem(&foreign_limits, &key);
  if (limit) return bucket_take(limit, now, suppressed);
  struct limit fresh = bucket_fresh(now);
  bpf_map_update_elem(&foreign_limits, &key, &fresh, BPF_ANY);
  return 1;
}

static __always_inline void remember_place(__u64 location) {
  if (bpf_map_lookup_elem(&places, &location)) return;
  struct place place = {};
  bpf_snprintf(place.name, sizeof(place.name), place_format, &location, sizeof(location));
  bpf_map_update_elem(&places, &location, &place, BPF_ANY);
}

static __always_inline int examine_free(struct sk_buff *skb, __u64 location, __u32 reason) {
  if (is_quiet(reason)) return 0;
  __u32 ifindex = 0, suppressed = 0;
  enum whereabouts where = locate(skb, &ifindex);
  if (where == ELSEWHERE || is_own(reason)) return 0;

  struct headers h = {};
  if (!headers_read(skb, &h)) return 0;
  struct address source, destination;
  address_resolve(h.source, &source);
  address_resolve(h.destination, &destination);
  __u8 direction = 0;
  const struct endpoint *endpoint = owner_of(skb, where, ifindex, &source, &destination, &direction);
  if (!endpoint) return 0;

  __u64 now = bpf_ktime_get_ns();
  if (!may_tell(&h, reason, now, &suppressed)) {
    count_at_once(COUNTER_SUPPRESSED);
    return 0;
  }
  remember_place(location);
  int out = direction == DIRECTION_EGRESS;
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) {
    count_at_once(COUNTER_LOST_DROP);
    return 0;
  }
  e->time = now;
  e->version = PALOMAR_ABI_VERSION;
  e->kind = EVENT_DROP;
  e->detail = 0;
  e->verdict = VERDICT_DROPPED;
  e->direction = direction;
  e->state = STATE_UNKNOWN;
  e->family = h.family;
  e->protocol = h.protocol;
  __builtin_memcpy(e->source, h.source, 16);
  __builtin_memcpy(e->destination, h.destination, 16);
  e->source_port = h.source_port;
  e->destination_port = h.destination_port;
  e->tcp_flags = h.tcp_flags;
  e->icmp_type = h.icmp_type;
  e->icmp_code = h.icmp_code;
  e->flags = EVENT_FOREIGN;
  e->source_identity = out ? endpoint->identity : source.identity;
  e->destination_identity = out ? destination.identity : endpoint->identity;
  e->ifindex = endpoint->id;
  e->endpoint = endpoint->id;
  e->policy = location;
  e->rule_set = reason;
  e->class_rule_set = 0;
  e->suppressed = suppressed;
  e->class = out ? destination.class : source.class;
  e->packets = 0;
  e->bytes = 0;
  count_at_once(COUNTER_TOLD_DROP);
  bpf_ringbuf_submit(e, wakeup());
  return 0;
}
