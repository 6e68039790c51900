/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is read of the kernel's own structures; the loader puts the running kernel's offsets in (CO-RE). */
#pragma once
#include "kernel.h"

#define KERNEL_TYPE __attribute__((preserve_access_index))
/* sizeof, as the running kernel has it. */
#define kernel_sizeof(type) __builtin_preserve_type_info(*(type *)0, 1)
/* Reads a field behind a pointer that the verifier does not know; zero where there is nothing to be read. */
#define READ(to, from) bpf_probe_read_kernel(&(to), sizeof(to), &(from))

struct ns_common {
  __u32 inum;
} KERNEL_TYPE;
struct net {
  struct ns_common ns;
} KERNEL_TYPE;
typedef struct {
  struct net *net;
} possible_net_t;
struct rtnl_link_ops {
  const char *kind;
} KERNEL_TYPE;
struct net_device {
  __s32 ifindex;
  possible_net_t nd_net;
  const struct rtnl_link_ops *rtnl_link_ops;
} KERNEL_TYPE;
struct dst_entry {
  struct net_device *dev;
} KERNEL_TYPE;
struct sk_buff {
  struct net_device *dev;
  unsigned long _skb_refdst;
  unsigned char *head;
  __u32 tail; /* end of the linear part, from head */
  __u16 protocol;
  __u16 network_header; /* from head */
  __s32 skb_iif;        /* 0: made here */
} KERNEL_TYPE;

enum { DST_UNCOUNTED = 1 }; /* the low bit of _skb_refdst */
enum { DEVICE_ALIGN = 32 }; /* what a driver keeps stands behind struct net_device at this alignment */

struct device {
  __u32 ifindex;
  __u32 netns;
};

static __always_inline void device_read(const struct net_device *dev, struct device *out) {
  struct net *net = NULL;
  READ(out->ifindex, dev->ifindex);
  READ(net, dev->nd_net.net);
  if (net) READ(out->netns, net->ns.inum);
}

/* Where the packet is: the device that it came by or is to leave by. A packet that is being sent has none of its own
 * until it is routed, and then the route's. Its own is read in place, at a third of the cost. */
static __always_inline const struct net_device *device_of(const struct sk_buff *skb, struct device *out) {
  const struct net_device *dev = skb->dev;
  if (dev) {
    out->ifindex = dev->ifindex;
    out->netns = dev->nd_net.net->ns.inum;
    return dev;
  }
  const struct net_device *routed = NULL;
  const struct dst_entry *dst = (void *)(skb->_skb_refdst & ~(unsigned long)DST_UNCOUNTED);
  if (dst) READ(routed, dst->dev);
  if (routed) device_read(routed, out);
  return routed;
}

/* The other end of a veth. False for any other device. The pointer to it is the first thing that the driver keeps
 * (struct veth_priv in drivers/net/veth.c). */
static __always_inline int veth_peer(const struct net_device *dev, struct device *out) {
  const struct rtnl_link_ops *ops = NULL;
  const struct net_device *peer = NULL;
  const char *kind = NULL;
  char name[8] = {};
  READ(ops, dev->rtnl_link_ops);
  if (!ops) return 0;
  READ(kind, ops->kind);
  if (!kind || bpf_probe_read_kernel_str(name, sizeof(name), kind) != 5) return 0;
  if (name[0] != 'v' || name[1] != 'e' || name[2] != 't' || name[3] != 'h') return 0;
  __u64 kept = (kernel_sizeof(struct net_device) + DEVICE_ALIGN - 1) & ~(__u64)(DEVICE_ALIGN - 1);
  bpf_probe_read_kernel(&peer, sizeof(peer), (const char *)dev + kept);
  if (!peer) return 0;
  device_read(peer, out);
  return 1;
}
