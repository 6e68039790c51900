/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is found out about a packet off the fast path: who its peer is, what policy says, what an event tells. */
#pragma once
#include "address.h"
#include "endpoint.h"
#include "packet.h"
#include "settings.h"

struct finding {
  __u64 policy;  /* endpoint.policy, read once */
  __u64 entered; /* what connection.policy becomes */
  __u64 packets, bytes;
  struct address peer;
  __u32 mode, epoch; /* read at once */
  __u32 rule_set, class_rule_set;
  __u32 suppressed;
  __u8 state; /* enum event_state */
  __u8 match; /* enum match_type */
  __u8 flags; /* enum event_flag */
  __u8 host;  /* the peer is the node itself */
};

/* The mode word and the policy word are read once: one packet, one view. */
static __always_inline void finding_begin(struct finding *f, const struct packet *p, __u64 policy, __u64 mode) {
  __builtin_memset(f, 0, sizeof(*f));
  f->policy = f->entered = policy;
  f->mode = (__u32)mode;
  f->epoch = mode >> 32;
  address_resolve(p->key.remote, &f->peer);
}

/* A node address is the node itself where it made the packet, else a mask over somebody else. A packet from the
 * pod cannot show which: then the connection remembers, and where it does not, the node is given the benefit. */
static __always_inline void finding_node(struct finding *f, const struct packet *p, __u32 ingress_ifindex,
                                         const struct connection *c) {
  if (!(f->peer.flags & ADDRESS_NODE)) return;
  int begun_here = c && !(c->flags & CONNECTION_UNORIENTED) && c->origin == DIRECTION_EGRESS;
  int masked = p->direction == DIRECTION_INGRESS ? ingress_ifindex != 0 : c && c->flags & CONNECTION_MASKED;
  f->host = !masked;
  f->peer.identity = masked && !begun_here ? IDENTITY_WORLD : IDENTITY_HOST;
  if (masked && !begun_here && p->direction == DIRECTION_INGRESS) f->flags |= EVENT_SOURCE_MASKED;
}

/* The pod's own address on a packet to it. True where the pod sent it, and a node's NAT returned it: it came by the
 * pod's own interface, routed or over a hairpin port alike; or where the node itself made it. Else somebody hides
 * behind it, and no better than behind a node address. */
static __always_inline void finding_own(struct finding *f, const struct packet *p, const struct endpoint *endpoint,
                                        __u32 ingress_ifindex) {
  if (p->direction != DIRECTION_INGRESS || f->peer.endpoint != endpoint->id) return;
  if (!ingress_ifindex || ingress_ifindex == p->key.ifindex) return;
  f->peer.identity = IDENTITY_WORLD;
  f->peer.endpoint = 0;
  f->flags |= EVENT_SOURCE_MASKED;
}

/* A packet from the pod to itself; after finding_own(). */
static __always_inline int is_hairpin(const struct finding *f, const struct endpoint *endpoint) {
  return f->peer.endpoint == endpoint->id;
}

static __always_inline int may_enforce(const struct finding *f) {
  return f->mode == MODE_ENFORCE && policy_has(f->policy, POLICY_ENFORCED);
}
